import type {
  Audit,
  AuditView,
  Drift,
  DriftPair,
  Heat,
  Me,
  Range,
  Rollout,
  Traffic,
} from "../src/api/types";
import { hex, hoursAgo, minutesAgo, NOW, random } from "./random";
import { CLASSES, shotId } from "./shots";

export const me: Me = {
  name: "operator",
  role: "admin",
  login: false,
  project: "surface-defects",
  profile: "production",
  csrf: "fixture",
};

export const V17 = {
  slot: "champion",
  label: "v17",
  version: `sha256:${hex(17)}`,
  bento_tag: "surface:v17",
  weight: 0.9,
};
export const V18 = {
  slot: "challenger",
  label: "v18",
  version: `sha256:${hex(18)}`,
  bento_tag: "surface:v18",
  weight: 0.1,
};

export const rollout: Rollout = {
  revision: 41,
  step: "canary-10",
  reason: "all five hold",
  changed_at: minutesAgo(22),
  slots: [V17, V18],
  previous: {
    slot: "previous",
    label: "v15",
    version: `sha256:${hex(15)}`,
    bento_tag: "surface:v15",
    weight: 0,
  },
  ladder: [
    { step: "shadow", share: 0, state: "done" },
    { step: "canary-1", share: 0.01, state: "done" },
    { step: "canary-10", share: 0.1, state: "now" },
    { step: "canary-50", share: 0.5, state: "next" },
    { step: "champion", share: 1, state: "next" },
  ],
  verdict: "wait",
  verdict_reason: "four of five hold; failures need 1,200 more answers",
  judged_at: minutesAgo(3),
  findings: [
    ["failures", -0.0014, 0.0031, 0.005, 0.0004, 8570, 0.0002, 77210, "not worse"],
    ["slow answers", -0.006, 0.004, 0.01, 0.018, 8570, 0.021, 77210, "not worse"],
    ["low confidence", -0.021, -0.006, 0.01, 0.028, 8570, 0.041, 77210, "not worse"],
    ["disagreement", -0.004, 0.013, 0.01, 0.031, 1200, 0.027, 9800, "not clear yet"],
    ["wrong labels", -0.018, 0.004, 0.02, 0.047, 312, 0.054, 2810, "not worse"],
  ].map(
    ([
      metric,
      lower,
      upper,
      margin,
      challenger,
      challenger_of,
      champion,
      champion_of,
      verdict,
    ]) => ({
      metric,
      lower,
      upper,
      margin,
      challenger,
      challenger_of,
      champion,
      champion_of,
      verdict,
    }),
  ) as Rollout["findings"],
  automatic: true,
  may: ["promote", "advance", "hold", "rollback"],
};

const SIGNALS: [string, number, number][] = [
  ["brightness", 0.31, 0.2],
  ["colour_temperature", 0.24, 0.2],
  ["embedding_mmd", 0.058, 0.05],
  ["sharpness", 0.09, 0.2],
  ["contrast", 0.12, 0.2],
  ["class_mix", 0.06, 0.2],
  ["confidence", 0.08, 0.2],
  ["file_size", 0.03, 0.2],
];

export const heat: Heat = (() => {
  const next = random(21);
  const columns = 28;
  return {
    measure: "PSI",
    times: Array.from({ length: columns }, (_, j) => hoursAgo((columns - 1 - j) * 12)),
    rows: SIGNALS.map(([name, value, limit], i) => ({
      name,
      value,
      limit,
      over: value > limit,
      cells: Array.from({ length: columns }, (_, j) => {
        const u = (value > limit ? 0.35 : (value / limit) * 0.9) * (0.75 + 0.5 * next());
        if (i === 0 && j > 24) return [0.9, 1.2, 1.55][j - 25]!;
        if (i === 1 && j > 25) return [1.05, 1.2][j - 26]!;
        if (i === 2 && j > 26) return 1.16;
        if (i === 4 && (j === 9 || j === 10)) return [1.12, 0.92][j - 9]!;
        return j === 3 && i === 5 ? null : u;
      }),
    })),
  };
})();

const ANSWERS: [string, string, number][] = [
  ["scratch", "scratch", 0.88],
  ["pit", "pit", 0.61],
  ["crack", "crack", 0.93],
  ["stain", "clean", 0.52],
  ["roll", "roll", 0.79],
];

export const pairs: DriftPair[] = ANSWERS.map(([kind, label, confidence], i) => ({
  prediction_id: `p-${String(10_000 - i * 7).padStart(6, "0")}`,
  image: shotId(kind, 3 + i * 5 + (i === 0 ? 37 : 0), true),
  label,
  confidence,
  nearest: shotId(kind, 3 + i * 5 + (i === 0 ? 37 : 0), false),
  nearest_label: kind,
  distance: 0.2 + i * 0.07,
}));

export const drift: Drift = {
  known: true,
  verdict: "drift",
  reason: "Brightness and colour temperature left the reference; evidence e^9.1 against e^4.6.",
  action: "retrain",
  action_reason: "Estimated accuracy fell below its bound, and 312 fresh labels are there.",
  at: minutesAgo(18),
  model: "v17",
  window_rows: 3812,
  window_size: 4000,
  evidence: 8955,
  alarm_at: 100,
  alpha: 0.01,
  history: Array.from({ length: 40 }, (_, i) =>
    i < 30 ? Math.sin(i / 3) * 0.6 - 0.4 : (i - 29) ** 1.02 * 0.85,
  ),
  alarm_window: 35,
  signals: SIGNALS.slice(0, 3).map(([name], i) => ({
    name,
    evidence: 9.1 - i * 2.2,
    adjusted: 0.0004 * 8 ** i,
    direction: i === 1 ? -1 : 1,
    since: 31 + i,
  })),
  heat,
  classes: CLASSES.map((name, i) => ({
    name,
    reference: [0.18, 0.15, 0.17, 0.16, 0.14, 0.2][i]!,
    production: [0.16, 0.14, 0.17, 0.09, 0.15, 0.29][i]!,
    accuracy: i === 4 ? null : 0.95 - i * 0.03,
    labels: i === 4 ? 0 : 40 + i * 9,
  })),
  accuracy: [
    { how: "held-out test", accuracy: 0.953, lower: 0.946, upper: 0.959, rows: 4800 },
    { how: "estimated without labels", accuracy: 0.902, lower: 0.881, upper: 0.921, rows: 3812 },
    { how: "late labels", accuracy: 0.911, lower: 0.874, upper: 0.938, rows: 312 },
  ],
  pairs: [
    ...pairs,
    ...pairs.map((pair, i) => ({
      ...pair,
      image: shotId(CLASSES[i]!, 60 + i, true),
      nearest: shotId(CLASSES[i]!, 60 + i, false),
    })),
  ],
  report: "/api/v1/drift/report",
};

export function traffic(range: Range): Traffic {
  const seconds = { "1h": 60, "24h": 1440, "14d": 20_160 }[range];
  const next = random(7);
  const points = Array.from({ length: 61 }, (_, i) => {
    const base = 43 + 3.2 * Math.sin(i / 7.5) + 2 * (next() - 0.5);
    const part = i < 40 ? 0.01 : 0.1 * (1 - Math.exp(-(i - 39) / 1.5));
    return {
      at: new Date(NOW - (60 - i) * seconds * 1000).toISOString(),
      rates: { v17: base * (1 - part), v18: base * part },
    };
  });
  return {
    range,
    seconds,
    points,
    versions: [
      {
        version: V17.version,
        label: "v17",
        slot: "champion",
        share: 0.901,
        requests: 138_240,
        p50: 17,
        p95: 38,
        failures: 0.0002,
        confidence: 0.91,
        low_confidence: 0.041,
      },
      {
        version: V18.version,
        label: "v18",
        slot: "challenger",
        share: 0.099,
        requests: 15_190,
        p50: 16,
        p95: 36,
        failures: 0,
        confidence: 0.93,
        low_confidence: 0.028,
      },
    ],
    marks: [{ at: points[40]!.at, label: "v18 to 10%" }],
  };
}

const DEEDS: [number, string, string, string][] = [
  [12, "drift_sensor", "queued v19, run 8f39a6e1", "drift"],
  [22, "operator", "moved v18 from 1% to 10%", "all five hold"],
  [124, "gate_f1", "passed v18, registered it as challenger", ""],
  [350, "nightly", "trained v18 on raw@9f3c21 in 3 h 31 min", ""],
  [3900, "admin", "rolled v16 back to v15", "p95 over 60 ms"],
];

export const audit: AuditView[] = Array.from({ length: 130 }, (_, i) => {
  const [minutes, actor, action, reason] = DEEDS[i % DEEDS.length]!;
  return {
    id: 130 - i,
    at: minutesAgo(minutes + Math.floor(i / 5) * 5000),
    actor,
    action,
    effect: action.startsWith("moved") ? "v18 to 10%" : "",
    reason,
    details: { revision: 41 - i, from: "canary-1", to: "canary-10", version: V18.version },
    sha256: hex(1000 + i),
  };
});

export function auditPage(limit: number, before: number | null): Audit {
  const rows = audit.filter((each) => before === null || each.id < before).slice(0, limit);
  return { entries: rows, total: audit.length, whole: true, problem: "" };
}
