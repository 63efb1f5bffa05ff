import type { ModelDetail, ModelRow } from "../src/api/types";
import { hex, hoursAgo, random } from "./random";
import { CLASSES } from "./shots";

const SLOTS: Record<number, string> = { 18: "challenger", 17: "champion", 15: "previous" };

export const models: ModelRow[] = Array.from({ length: 18 }, (_, i) => {
  const n = 18 - i;
  return {
    version: `sha256:${hex(n)}`,
    label: `v${n}`,
    bento_tag: `surface:v${n}`,
    architecture: n > 9 ? "resnet-18" : "small-cnn",
    slot: SLOTS[n] ?? "",
    gate: n === 16 ? "failed" : "passed",
    created_at: hoursAgo(2 + i * 26),
    accuracy: 0.957 - i * 0.004,
    macro_f1: 0.953 - i * 0.0045,
    ece: 0.021 + i * 0.002,
    size_mb: n > 9 ? 44.7 : 6.2,
    mlflow_url: `http://127.0.0.1:5000/#/runs/${hex(n + 90, 32)}`,
  };
});

export function model(version: string): ModelDetail | null {
  const row = models.find((each) => each.version === version || each.label === version);
  if (!row) return null;
  const n = Number(row.label.slice(1));
  const next = random(n);
  const confusion = CLASSES.map((_, i) =>
    CLASSES.map((_, j) =>
      i === j ? 150 - Math.floor(next() * (25 - n)) : Math.floor(next() * next() * (26 - n) * 0.9),
    ),
  );
  return {
    ...row,
    gate_reason:
      row.gate === "passed" ? "not worse on every slice" : "worse on stain: 0.71 against 0.82",
    dataset: "raw@9f3c21",
    commit: hex(n + 50, 40),
    dagster_url: "http://127.0.0.1:3000/runs",
    classes: CLASSES,
    confusion,
    scores: CLASSES.map((name, i) => ({
      name,
      precision: 0.9 + next() * 0.09,
      recall: 0.88 + next() * 0.1,
      f1: (row.macro_f1 ?? 0.9) - 0.04 + 0.015 * i * next(),
      rows: 160 + i * 7,
    })),
    reliability: Array.from({ length: 8 }, (_, i) => ({
      confidence: 0.3 + i * 0.095,
      accuracy: 0.27 + i * 0.098 + (next() - 0.5) * 0.05,
      rows: 20 + i * i * 9,
    })),
    slices: ["all", "line 1", "line 2", "bright", "dark"].map((name, i) => ({
      name,
      rows: 960 - i * 160,
      candidate: 0.957 - i * 0.008,
      champion: 0.949 - i * 0.01,
      difference: 0.008 + i * 0.002,
      lower: -0.002 - i * 0.003,
      upper: 0.018 + i * 0.007,
      verdict: "not worse",
    })),
    history: Array.from({ length: 24 }, (_, i) => ({
      epoch: i + 1,
      training_loss: 1.7 * Math.exp(-i / 5) + 0.05,
      validation_loss: 1.7 * Math.exp(-i / 5) + 0.15 + i * 0.002,
      validation_accuracy: 0.95 - 0.6 * Math.exp(-i / 4),
    })),
  };
}
