import type { IconName } from "./icons";

export interface PageLink {
  href: string;
  text: string;
  icon: IconName;
  /** Keys under which the server may count something for this page. */
  counts: readonly string[];
  /** Whether its count asks for attention. */
  warns?: boolean;
}

export const PAGES: readonly PageLink[] = [
  { href: "/", text: "Overview", icon: "overview", counts: [] },
  { href: "/models", text: "Models", icon: "models", counts: ["models"] },
  { href: "/rollout", text: "Rollout", icon: "rollout", counts: ["rollout"] },
  { href: "/drift", text: "Drift", icon: "drift", counts: ["drift"], warns: true },
  { href: "/predictions", text: "Predictions", icon: "predictions", counts: [] },
  { href: "/try", text: "Try it", icon: "try", counts: [] },
  { href: "/lineage", text: "Lineage", icon: "lineage", counts: [] },
  { href: "/labels", text: "Label queue", icon: "labels", counts: ["labels"] },
  { href: "/alerts", text: "Alerts", icon: "alerts", counts: ["alerts"], warns: true },
  { href: "/automation", text: "Automation", icon: "automation", counts: ["automation"] },
  { href: "/keys", text: "Keys", icon: "keys", counts: [] },
  { href: "/audit", text: "Audit log", icon: "audit", counts: [] },
];
