import { describe, expect, it } from "vitest";
import { ago, exact, utc, when, whenShort } from "../src/lib/time";

const now = new Date(2026, 10, 27, 12, 0, 0);
const at = (...parts: [number, number, number, number, number]) => new Date(...parts).toISOString();

describe("moments", () => {
  it("are told by the clock today, by the day this week, by the date before", () => {
    expect(when(at(2026, 10, 27, 6, 40), now)).toBe("06:40");
    expect(when(at(2026, 10, 25, 6, 40), now)).toBe("Wed 06:40");
    expect(when(at(2026, 10, 2, 6, 40), now)).toBe("2 Nov 06:40");
    expect(when(at(2025, 10, 2, 6, 40), now)).toBe("2 Nov 2025 06:40");
    expect(whenShort(at(2026, 10, 25, 6, 40), now)).toBe("Wed");
    expect(exact(at(2026, 10, 27, 6, 40), now)).toBe("06:40:00");
  });
  it("that lie ahead get a date", () => {
    expect(whenShort(at(2026, 11, 24, 6, 40), now)).toBe("24 Dec");
  });
  it("are told in UTC and by age", () => {
    expect(utc("2026-11-27T06:40:05Z")).toBe("2026-11-27 06:40:05 UTC");
    expect(ago("2026-11-27T06:40:00Z", Date.parse("2026-11-27T06:52:30Z"))).toBe("12 min ago");
  });
});
