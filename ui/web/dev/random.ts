/** The same numbers every time, so that pictures of the console can be compared. */
export function random(seed: number): () => number {
  let s = seed;
  return () => {
    s = Math.imul(s ^ (s >>> 15), 2246822519) ^ Math.imul(s ^ (s >>> 13), 3266489917);
    s ^= s >>> 16;
    return (s >>> 0) / 4294967296;
  };
}

export function hex(seed: number, length = 64): string {
  const next = random(seed * 7919 + 17);
  let text = "";
  while (text.length < length) text += Math.floor(next() * 16).toString(16);
  return text;
}

export const NOW = Date.now();
export const minutesAgo = (minutes: number) => new Date(NOW - minutes * 60_000).toISOString();
export const hoursAgo = (hours: number) => minutesAgo(hours * 60);
