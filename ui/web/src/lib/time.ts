import { duration } from "./format";

const DAY = 86_400_000;
const pad = (value: number) => String(value).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

export function clock(at: Date): string {
  return `${pad(at.getHours())}:${pad(at.getMinutes())}`;
}

export function date(at: Date): string {
  return `${at.getDate()} ${MONTHS[at.getMonth()]}`;
}

function midnight(at: Date): number {
  return new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();
}

/** Today by the clock, this week by the day, older by the date; all in the reader's own time. */
export function when(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const days = Math.round((midnight(now) - midnight(at)) / DAY);
  if (days === 0) return clock(at);
  if (days > 0 && days < 7) return `${DAYS[at.getDay()]} ${clock(at)}`;
  const year = at.getFullYear() === now.getFullYear() ? "" : ` ${at.getFullYear()}`;
  return `${date(at)}${year} ${clock(at)}`;
}

/** To the second, for things that follow each other fast. */
export function exact(iso: string, now = new Date()): string {
  return `${when(iso, now)}:${pad(new Date(iso).getSeconds())}`;
}

/** The same, without the clock where there is a day. */
export function whenShort(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const days = Math.round((midnight(now) - midnight(at)) / DAY);
  if (days === 0) return clock(at);
  return days > 0 && days < 7 ? DAYS[at.getDay()]! : date(at);
}

export function utc(iso: string): string {
  return `${new Date(iso).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

export function ago(iso: string, now = Date.now()): string {
  return `${duration(Math.max(0, (now - new Date(iso).getTime()) / 1000))} ago`;
}
