import { utc } from "./time";

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

/** A fact's value in the room that it has: moments to the second, long hashes cut. */
export function factText(value: string): string {
  if (MOMENT.test(value) && !Number.isNaN(Date.parse(value))) return utc(value);
  return value
    .split(" ")
    .map((word) => (/^[0-9a-f:]{24,}$/i.test(word) ? `${word.slice(0, 12)}…` : word))
    .join(" ");
}
