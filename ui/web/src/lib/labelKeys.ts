/** Digits first, then letters; S stays free, it skips. */
const KEYS = [..."1234567890", ..."abcdefghijklmnopqrtuvwxyz"];

export function keyForClass(index: number): string {
  return (KEYS[index] ?? "").toUpperCase();
}

export function classForKey(key: string, classes: readonly string[]): string | undefined {
  const index = KEYS.indexOf(key.toLowerCase());
  return index < 0 ? undefined : classes[index];
}
