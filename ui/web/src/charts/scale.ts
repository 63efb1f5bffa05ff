import type { TrafficPoint } from "./types";

/** A round number at or above `most`, for the top of an axis whose middle is labelled too. */
export function niceTop(most: number): number {
  if (!(most > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(most));
  for (const factor of [1, 1.2, 1.6, 2, 4, 5, 6, 8, 10])
    if (factor * unit >= most) return factor * unit;
  return 10 * unit;
}

const STEPS = [1, 2, 2.5, 5, 10];

/** Round numbers from 0 to the first one at or above `most`, about `wanted` of them. */
export function roundTicks(most: number, wanted = 4): number[] {
  const rough = (most > 0 ? most : 1) / wanted;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * (STEPS.find((each) => each * unit >= rough * 0.999) ?? 10);
  const count = Math.ceil((most > 0 ? most : 1) / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(9)));
}

/** Whole numbers from 1 on, evenly apart. */
export function countTicks(last: number, wanted = 8): number[] {
  const step = Math.max(1, Math.ceil(last / wanted));
  return Array.from({ length: Math.ceil(last / step) }, (_, index) => 1 + index * step);
}

export function stackedTops(points: readonly TrafficPoint[], labels: readonly string[]) {
  const total = points.map((point) =>
    labels.reduce((sum, label) => sum + (point.rates[label] ?? 0), 0),
  );
  const rates = points[points.length - 1]?.rates ?? {};
  let sum = 0;
  const last = labels.map((label) => {
    sum += rates[label] ?? 0;
    return sum;
  });
  return { total, last };
}

export function timeTicks(first: number, last: number, wanted: number): number[] {
  if (!(last > first)) return [first];
  return Array.from(
    { length: wanted },
    (_, index) => first + ((last - first) * index) / (wanted - 1),
  );
}

interface EndLabel {
  text: string;
  colour: string;
  y: number;
}

/** Moves labels apart that would lie on each other; none goes below `lowest`. */
export function directLabels(
  labels: readonly EndLabel[],
  apart = 15,
  lowest = Number.POSITIVE_INFINITY,
): EndLabel[] {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  let before = Number.NEGATIVE_INFINITY;
  const spread = sorted.map((label) => {
    const y = Math.max(label.y, before + apart);
    before = y;
    return { ...label, y };
  });
  return spread.map((label, index) => ({
    ...label,
    y: Math.min(label.y, lowest - (spread.length - 1 - index) * apart),
  }));
}

interface Placed {
  at: string;
  label: string;
  x: number;
  row: number;
  anchor: "start" | "end";
}

const MOST_ROWS = 3;

/** Puts each mark's name beside its line; the newest come first, and what finds no room has none. */
export function markLabels(
  marks: readonly { at: string; label: string }[],
  first: number,
  last: number,
  left: number,
  wide: number,
): Placed[] {
  const ends: [number, number][][] = [];
  const newest = [...marks].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  return newest.flatMap((mark) => {
    const line = left + (wide * (Date.parse(mark.at) - first)) / Math.max(1, last - first);
    const length = mark.label.length * 6.2;
    const anchor = line - left > length + 8 ? "end" : "start";
    const x = anchor === "end" ? line - 6 : line + 6;
    const [from, to] = anchor === "end" ? [x - length, x] : [x, x + length];
    let row = 0;
    while (ends[row]?.some(([a, b]) => from < b + 8 && to > a - 8)) row += 1;
    if (row >= MOST_ROWS) return [];
    ends[row] = [...(ends[row] ?? []), [from, to]];
    return [{ ...mark, x, row, anchor }];
  });
}
