import type {
  Alerts,
  Automation,
  Keys,
  LineageGraph,
  PredictionDetail,
  PredictionRow,
  Queue,
  Sample,
  Verified,
} from "../src/api/types";
import { hex, hoursAgo, minutesAgo, random } from "./random";
import { CLASSES, shotId } from "./shots";

const TOTAL = 10_000;

function probabilities(label: string, confidence: number): Record<string, number> {
  const others = CLASSES.filter((each) => each !== label);
  const rest = 1 - confidence;
  const weights = [0.55, 0.22, 0.12, 0.07, 0.04];
  return Object.fromEntries([
    [label, confidence],
    ...others.map((name, i) => [name, rest * weights[i]!]),
  ]);
}

export const predictions: PredictionRow[] = Array.from({ length: TOTAL }, (_, i) => {
  const next = random(i + 5);
  next();
  const label = CLASSES[Math.floor(next() * CLASSES.length)]!;
  const v18 = next() < 0.1;
  const confidence = 1 - next() ** 3 * 0.62;
  return {
    id: `p-${String(TOTAL - i).padStart(6, "0")}`,
    at: new Date(Date.now() - i * 1400).toISOString(),
    label,
    confidence,
    truth: i % 9 === 4 ? (i % 27 === 4 ? "clean" : label) : null,
    model: v18 ? "v18" : "v17",
    version: `sha256:${hex(v18 ? 18 : 17)}`,
    slot: v18 ? "challenger" : "champion",
    latency_ms: 12 + next() * 30,
    novelty: i % 13 ? next() : null,
    image: shotId(label, i % 900, i < 3800),
    image_kept: i % 11 !== 7,
    step: "canary-10",
  };
});

export function prediction(id: string): PredictionDetail | null {
  const row = predictions.find((each) => each.id === id);
  return row ? detail(row) : null;
}

export function detail(row: PredictionRow): PredictionDetail {
  const n = Number(row.id.replace(/\D/g, "")) || 1;
  return {
    ...row,
    probabilities: probabilities(row.label, row.confidence),
    bento_tag: `surface:${row.model}`,
    program_sha256: hex(n + 1),
    record_sha256: hex(n + 2),
    weight: row.slot === "champion" ? 0.9 : 0.1,
    revision: 41,
    caller: "line-2",
    cached: n % 5 === 0,
    origin: { camera: "line 2", station: "B" },
    receipt: true,
    nearest: Array.from({ length: 5 }, (_, i) => ({
      image: shotId(row.label, (n + i * 3) % 700, false),
      label: i === 4 ? "clean" : row.label,
      distance: 0.11 + i * 0.06,
      proven: i < 4,
      row: 1200 + i,
    })),
  };
}

export const samples: Sample[] = Array.from({ length: 12 }, (_, i) => ({
  image: shotId(CLASSES[i % 6]!, 120 + i, false),
  label: CLASSES[i % 6]!,
}));

export function lineage(id: string): LineageGraph | null {
  const row =
    predictions.find((each) => each.id === id) ?? (id.length > 3 ? predictions[0] : undefined);
  if (!row || id === "none") return null;
  const node = (
    nid: string,
    kind: "prediction" | "image" | "artifact" | "model",
    title: string,
    subtitle: string,
    rank: number,
  ) => ({
    id: nid,
    kind,
    title,
    subtitle,
    rank,
    facts: { sha256: hex(title.length + rank + 90), bytes: "48,210" },
    links: [{ text: "Dagster", href: "http://127.0.0.1:3000" }],
  });
  return {
    id,
    kind: "prediction",
    title: `Answer ${row.id}`,
    image: row.image,
    facts: {
      label: row.label,
      confidence: row.confidence.toFixed(3),
      model: row.model,
      slot: row.slot,
    },
    nodes: [
      node("raw", "artifact", "raw_images", "2026-11-22", -6),
      node("val", "artifact", "validated_images", "48,210 images", -5),
      node("emb", "artifact", "encoded_images", "shards", -4),
      node("trn", "artifact", "trained_model", "24 epochs", -3),
      node("evl", "artifact", "evaluation", "macro F1 0.953", -2),
      node("mod", "model", row.model, "passed its gate", -2),
      node("jrn", "artifact", "journal 2026-11-27", "chain holds", -1),
      node("img", "image", "Request image", "64 × 64", -1),
      node(row.id, "prediction", row.id, `${row.label}, ${row.confidence.toFixed(2)}`, 0),
      node("drf", "artifact", "drift_report", "window 35", 1),
    ],
    edges: [
      ["raw", "val"],
      ["val", "emb"],
      ["emb", "trn"],
      ["trn", "evl"],
      ["trn", "mod"],
      ["mod", row.id],
      ["jrn", row.id],
      ["img", row.id],
      [row.id, "drf"],
    ].map(([source, target]) => ({ source: source!, target: target! })),
    receipt: {
      prediction: row.id,
      record_sha256: hex(5),
      program_sha256: hex(6),
      revision: 41,
      chain: { entries: 12, root: hex(9) },
    },
  };
}

export function verified(id: string): Verified {
  return {
    id,
    whole: true,
    seconds: 0.84,
    lines: [
      { what: "journal entries", things: 3, files: 1, problems: [] },
      { what: "model program", things: 1, files: 2, problems: [] },
      { what: "training images", things: 48210, files: 12, problems: [] },
    ],
  };
}

export const queue: Queue = {
  rows: Array.from({ length: 24 }, (_, i) => {
    const label = CLASSES[i % 6]!;
    return {
      id: `p-${9000 - i * 13}`,
      image: shotId(label, 200 + i, true),
      at: minutesAgo(30 + i * 4),
      label,
      confidence: 0.42 + (i % 7) * 0.04,
      novelty: 0.8 - i * 0.02,
      probabilities: probabilities(label, 0.42 + (i % 7) * 0.04),
      why:
        i % 2 ? "the model is unsure between two classes" : "it looks unlike every training image",
    };
  }),
  classes: CLASSES,
  open: 88,
  done: 312,
  wanted: 400,
};

export const alerts: Alerts = {
  routed: false,
  alerts: [
    {
      id: "a1",
      name: "DriftOverLimit",
      severity: "warning",
      state: "firing",
      summary: "Brightness PSI 0.31 against 0.20",
      started_at: hoursAgo(2),
      ended_at: null,
      runbook: "docs/runbooks/drift-detected.md",
      source: "console",
    },
    {
      id: "a2",
      name: "PrometheusSilent",
      severity: "critical",
      state: "firing",
      summary: "Prometheus does not answer: connection refused",
      started_at: minutesAgo(31),
      ended_at: null,
      runbook: "",
      source: "console",
    },
    {
      id: "a3",
      name: "GpuNodeDown",
      severity: "warning",
      state: "resolved",
      summary: "No heartbeat from gpu-1",
      started_at: hoursAgo(1.3),
      ended_at: hoursAgo(1),
      runbook: "http://127.0.0.1/runbooks/gpu",
      source: "Alertmanager",
    },
  ],
};

export const automation: Automation = {
  sensors: [
    "drift_sensor",
    "rollout_sensor",
    "landing_sensor",
    "freshness_sensor",
    "hourly_monitoring",
  ].map((name, i) => ({
    name,
    running: i !== 4,
    schedule: name === "hourly_monitoring",
    version: i !== 4 ? "on" : "off",
    last_tick_at: i === 4 ? null : minutesAgo(i * 3 + 1),
    last_tick: ["asked for run 8f39a6e1", "nothing to judge", "no new images", "fresh", ""][i]!,
    description: [
      "Asks for a retraining when evidence of drift passes its limit",
      "Judges the rollout on new answers",
      "Takes in what lands",
      "Says when data are late",
      "Compacts the hour that has just ended",
    ][i]!,
  })),
  runs: Array.from({ length: 12 }, (_, i) => ({
    id: hex(300 + i, 32),
    job: ["retrain", "monitor_hour", "judge_rollout", "ingest"][i % 4]!,
    status: i === 0 ? "QUEUED" : i === 5 ? "FAILURE" : i === 1 ? "STARTED" : "SUCCESS",
    partition: i % 4 === 1 ? "2026-11-27-08:00" : "",
    started_at: i === 0 ? null : minutesAgo(i * 37),
    ended_at: i < 2 ? null : minutesAgo(i * 37 - 12),
    reason: i === 0 ? "drift_sensor" : "schedule",
    url: "http://127.0.0.1:3000/runs",
  })),
  jobs: [
    { name: "retrain", partition: "", version: "8f39a6e1" },
    { name: "ingest", partition: "batch", version: "" },
    { name: "monitor", partition: "", version: "" },
    { name: "monitor_hour", partition: "hour", version: "" },
    { name: "score_folder", partition: "folder", version: "" },
    { name: "rebuild", partition: "", version: "" },
    { name: "judge_rollout", partition: "", version: "" },
  ],
};

export const keys: Keys = {
  version: "3-1",
  keys: [
    {
      id: "k1",
      name: "line-2 camera",
      scopes: ["predict"],
      expires_at: hoursAgo(-2000),
      created_at: hoursAgo(200),
      revoked: false,
      version: "good",
    },
    {
      id: "k2",
      name: "labelling",
      scopes: ["feedback", "explain"],
      expires_at: hoursAgo(-90),
      created_at: hoursAgo(700),
      revoked: false,
      version: "good",
    },
    {
      id: "k3",
      name: "old line",
      scopes: ["predict", "admin"],
      expires_at: null,
      created_at: hoursAgo(4000),
      revoked: true,
      version: "revoked",
    },
  ],
};
