import type { ReactNode } from "react";

const PATHS = {
  overview: (
    <>
      <rect x="2" y="5" width="14" height="8" rx="4" />
      <path d="M7 3.2 9 5 7 6.8" />
    </>
  ),
  models: (
    <>
      <path d="M9 2 15.5 5.500v7L9 16l-6.5-3.500v-7z" />
      <path d="M2.5 5.5 9 9l6.5-3.500M9 9v7" />
    </>
  ),
  rollout: <path d="M2 9h5M7 9c3 0 3-5 6-5h3M7 9c3 0 3 5 6 5h3" />,
  drift: (
    <>
      <path d="M2 14c3 0 3-9 5.5-9S10 14 12 14" />
      <path d="M7 14c3 0 3-6 5-6s2 6 4 6" />
    </>
  ),
  predictions: (
    <>
      <rect x="2.5" y="3" width="13" height="12" rx="1.5" />
      <path d="m3 13 4-4 3 3 2-2 3.5 3.5" />
    </>
  ),
  try: <path d="M9 11V3M6 6l3-3 3 3M3 11v3.500h12V11" />,
  lineage: (
    <>
      <circle cx="4" cy="9" r="2" />
      <circle cx="14" cy="4.5" r="2" />
      <circle cx="14" cy="13.5" r="2" />
      <path d="M6 8.2 12 5.300M6 9.800l6 2.9" />
    </>
  ),
  labels: (
    <>
      <path d="M2.500 8.500V3.500h5l8 7-5 5z" />
      <circle cx="5.600" cy="6.300" r="1" />
    </>
  ),
  alerts: <path d="M4.500 12.500V8a4.500 4.500 0 0 1 9 0v4.500M3 12.500h12M7.500 15h3" />,
  automation: (
    <>
      <circle cx="9" cy="9" r="6.500" />
      <path d="M7.500 6.500 11.500 9l-4 2.500z" />
    </>
  ),
  keys: (
    <>
      <circle cx="6" cy="11.500" r="3" />
      <path d="m8.300 9.300 6-6M12 5.500l2 2M10 7.500l1.500 1.500" />
    </>
  ),
  audit: <path d="M4 3.500h10M4 9h10M4 14.500h6" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg viewBox="0 0 18 18" aria-hidden="true">
      {PATHS[name]}
    </svg>
  );
}

export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 26 26" aria-hidden="true">
      <rect
        x="1.5"
        y="5"
        width="23"
        height="16"
        rx="8"
        fill="none"
        stroke="var(--ink)"
        strokeWidth="2"
      />
      <circle cx="8" cy="5" r="3" fill="var(--champion)" stroke="var(--ground)" strokeWidth="1.5" />
      <circle cx="17" cy="5" r="3" fill="var(--canary)" stroke="var(--ground)" strokeWidth="1.5" />
    </svg>
  );
}
