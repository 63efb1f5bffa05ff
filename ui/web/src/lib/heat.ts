/** Steps of a signal's distance over its limit; 1 is the limit, and from there colours are warm. */
const STEPS = [0.35, 0.65, 1, 1.15, 1.45] as const;

export type Level = 0 | 1 | 2 | 3 | 4 | 5;

export function heatLevel(ratio: number): Level {
  let level = 0;
  for (const step of STEPS) if (ratio > step) level += 1;
  return level as Level;
}

export function isOver(ratio: number | null): boolean {
  return ratio !== null && ratio > 1;
}

/** Columns that get a date below: the first, and then no closer than `gap` columns. */
export function labelledColumns(columns: number, most: number): number[] {
  if (columns <= 0) return [];
  const gap = Math.max(1, Math.ceil(columns / Math.max(1, most)));
  return Array.from({ length: Math.ceil(columns / gap) }, (_, index) => index * gap);
}
