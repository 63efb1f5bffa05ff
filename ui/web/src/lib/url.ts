import type { Range } from "../api/types";

/** Search parameters as plain strings: readable addresses, and nothing is guessed to be JSON. */
export function parseSearch(text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `?${text}` : "";
}

const RANGES: readonly Range[] = ["1h", "24h", "14d"];

export interface OverviewSearch {
  range?: Range;
}

export function overviewSearch(raw: Record<string, unknown>): OverviewSearch {
  const range = RANGES.find((each) => each === raw.range);
  return range && range !== "1h" ? { range } : {};
}

export interface PredictionFilters {
  label?: string;
  slot?: string;
  max_confidence?: string;
  q?: string;
}

export interface PredictionSearch extends PredictionFilters {
  peek?: string;
}

function words(value: unknown): string | undefined {
  const text = typeof value === "string" || typeof value === "number" ? String(value).trim() : "";
  return text ? text.slice(0, 200) : undefined;
}

export function predictionFilters(raw: Record<string, unknown>): PredictionFilters {
  const found: PredictionFilters = {};
  for (const name of ["label", "slot", "q"] as const) {
    const value = words(raw[name]);
    if (value) found[name] = value;
  }
  const share = Number(words(raw.max_confidence));
  if (share > 0 && share < 1) found.max_confidence = String(share);
  return found;
}

export function predictionSearch(raw: Record<string, unknown>): PredictionSearch {
  const peek = words(raw.peek);
  return peek ? { ...predictionFilters(raw), peek } : predictionFilters(raw);
}

export const MOST_COMPARED = 4;

export interface ModelSearch {
  v?: string;
}

export function comparedVersions(search: ModelSearch): string[] {
  const all = (search.v ?? "").split(",").map((each) => each.trim());
  return [...new Set(all.filter(Boolean))].slice(0, MOST_COMPARED);
}

/** Adds or removes one version; a fifth is refused, so that nothing vanishes unasked. */
export function toggleCompared(search: ModelSearch, version: string): ModelSearch {
  const now = comparedVersions(search);
  const next = now.includes(version)
    ? now.filter((each) => each !== version)
    : now.length < MOST_COMPARED
      ? [...now, version]
      : now;
  return next.length ? { v: next.join(",") } : {};
}

export function modelSearch(raw: Record<string, unknown>): ModelSearch {
  const found = comparedVersions({ v: words(raw.v) ?? "" });
  return found.length ? { v: found.join(",") } : {};
}
