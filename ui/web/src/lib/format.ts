const MINUS = "\u2212";
const DASH = "\u2013";

function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? MINUS : "+") + text;
}

type Maybe = number | null | undefined;

const missing = (value: Maybe): value is null | undefined =>
  value === null || value === undefined || !Number.isFinite(value);

export function count(value: Maybe): string {
  return missing(value) ? DASH : Math.round(value).toLocaleString("en-US");
}

export function fixed(value: Maybe, digits = 2): string {
  if (missing(value)) return DASH;
  return value < 0 ? MINUS + Math.abs(value).toFixed(digits) : value.toFixed(digits);
}

export function percent(value: Maybe, digits = 1): string {
  return missing(value) ? DASH : `${(value * 100).toFixed(digits)}%`;
}

/** A weight of traffic: no decimals where none are needed. */
export function share(value: Maybe): string {
  if (missing(value)) return DASH;
  const hundredths = value * 100;
  return `${hundredths.toFixed(Math.abs(hundredths - Math.round(hundredths)) < 0.05 ? 0 : 1)}%`;
}

/** A difference of two shares, in percentage points. */
export function points(value: Maybe): string {
  if (missing(value)) return DASH;
  const hundredths = value * 100;
  return `${signed(hundredths, Math.abs(hundredths) < 0.095 ? 2 : 1)} pt`;
}

export function difference(value: Maybe, digits = 3): string {
  return missing(value) ? DASH : signed(value, digits);
}

export function milliseconds(value: Maybe): string {
  if (missing(value)) return DASH;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

export function megabytes(value: Maybe): string {
  return missing(value) ? DASH : `${value.toFixed(value < 10 ? 1 : 0)} MB`;
}

export function short(id: string, length = 8): string {
  const bare = id.startsWith("sha256:") ? id.slice(7) : id;
  return bare.length > length + 2 ? bare.slice(0, length) : bare;
}

export function words(name: string): string {
  const text = name.replace(/_+/g, " ").trim();
  return text ? text[0]!.toUpperCase() + text.slice(1) : text;
}

export function initials(name: string): string {
  const parts = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const letters = parts.length > 1 ? parts[0]![0]! + parts[1]![0]! : (parts[0] ?? "?").slice(0, 2);
  return letters.toUpperCase();
}

export function duration(seconds: Maybe): string {
  if (missing(seconds)) return DASH;
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  const hours = Math.floor(seconds / 3600);
  if (hours >= 48) return `${Math.floor(hours / 24)} d`;
  const minutes = Math.floor((seconds % 3600) / 60);
  return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
}

/** An e-value or a p-value as digits, or as a power of ten where it is beyond them. */
export function magnitude(value: Maybe): { text: string; power?: string } {
  if (missing(value)) return { text: DASH };
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 100_000))
    return { text: "10", power: fixed(Math.log10(size), 0) };
  return { text: size >= 100 ? count(value) : value.toFixed(size < 1 ? 3 : 1) };
}

/** A phrase with a capital and a full stop. */
export function sentence(text: string): string {
  const whole = text.trim();
  if (!whole) return "";
  return whole[0]!.toUpperCase() + whole.slice(1) + (/[.!?…]$/.test(whole) ? "" : ".");
}

/** Text of a program, with numbers as a person reads them: no fractions that say nothing. */
export function readable(text: string): string {
  return text
    .replace(/(\d:\d\d:\d\d)\.\d+/g, "$1")
    .replace(/\d+\.\d{4,}/g, (number) => String(Number(Number(number).toPrecision(3))));
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
