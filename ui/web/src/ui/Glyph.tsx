export type GlyphKind = "ok" | "warn" | "bad" | "ask" | "live" | "wait" | "idle" | "info";

interface Props {
  kind: GlyphKind;
  size?: number;
  x?: number;
  y?: number;
  /** What the halo behind a glyph is filled with. */
  ground?: string;
}

/** Shape and colour both carry the meaning, so that neither is needed alone. */
export function Glyph({ kind, size = 16, x, y, ground = "var(--ground)" }: Props) {
  return (
    <svg width={size} height={size} x={x} y={y} viewBox="0 0 16 16" aria-hidden="true">
      {shape(kind, ground)}
    </svg>
  );
}

function shape(kind: GlyphKind, ground: string) {
  switch (kind) {
    case "ok":
      return (
        <g fill="none" stroke="var(--ok)" strokeWidth="1.6">
          <circle cx="8" cy="8" r="7" />
          <path d="M4.8 8.3 7 10.5l4.2-4.8" />
        </g>
      );
    case "warn":
      return (
        <>
          <path d="M8 1.5 15.2 14.200H.8z" fill="var(--warn-fill)" />
          <path d="M8 6v4M8 11.7v1.2" stroke={ground} strokeWidth="1.7" />
        </>
      );
    case "bad":
      return (
        <>
          <path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" fill="var(--bad)" />
          <path d="m5.5 5.5 5 5m0-5-5 5" stroke={ground} strokeWidth="1.7" />
        </>
      );
    case "ask":
      return (
        <g fill="none" stroke="var(--ink2)" strokeWidth="1.5">
          <rect x="1.5" y="1.5" width="13" height="13" rx="3" />
          <path d="M5 8h6M8 5v6" />
        </g>
      );
    case "live":
      return (
        <>
          <circle cx="8" cy="8" r="4" fill="var(--ok)" />
          <circle
            cx="8"
            cy="8"
            r="7"
            fill="none"
            stroke="var(--ok)"
            strokeWidth="1.4"
            opacity=".5"
          />
        </>
      );
    case "wait":
      return (
        <circle
          cx="8"
          cy="8"
          r="6.4"
          fill={ground}
          stroke="var(--ink3)"
          strokeWidth="1.6"
          strokeDasharray="2.4 2.6"
        />
      );
    case "idle":
      return <circle cx="8" cy="8" r="5.5" fill="none" stroke="var(--control)" strokeWidth="1.6" />;
    case "info":
      return (
        <g fill="none" stroke="var(--ink2)" strokeWidth="1.6">
          <circle cx="8" cy="8" r="7" />
          <path d="M8 7v4.500M8 4.300v1.4" />
        </g>
      );
  }
}
