import { describe, expect, it } from "vitest";
import { deed } from "../src/lib/deeds";
import { factText } from "../src/lib/facts";
import {
  count,
  duration,
  fixed,
  initials,
  magnitude,
  megabytes,
  milliseconds,
  percent,
  points,
  readable,
  sentence,
  share,
  short,
  words,
} from "../src/lib/format";

describe("numbers", () => {
  it("groups thousands and names what is missing", () => {
    expect(count(48210)).toBe("48,210");
    expect(count(null)).toBe("–");
    expect(fixed(-0.5)).toBe("−0.50");
    expect(percent(Number.NaN)).toBe("–");
  });
  it("writes shares without decimals where none are needed", () => {
    expect(share(0.1)).toBe("10%");
    expect(share(0.005)).toBe("0.5%");
    expect(percent(0.0002, 2)).toBe("0.02%");
  });
  it("writes differences with a true minus, and small ones with more digits", () => {
    expect(points(-0.013)).toBe("−1.3 pt");
    expect(points(0.0002)).toBe("+0.02 pt");
    expect(points(0)).toBe("0.00 pt");
  });
  it("tells magnitudes that no digits can", () => {
    expect([1.9e130, 100, 9.13, 0.004, 2e-128, null].map(magnitude)).toEqual([
      { text: "10", power: "130" },
      { text: "100" },
      { text: "9.1" },
      { text: "0.004" },
      { text: "10", power: "−128" },
      { text: "–" },
    ]);
  });
  it("makes sentences of phrases, and numbers short", () => {
    expect(["differs in sharpness", "Done.", " "].map(sentence)).toEqual([
      "Differs in sharpness.",
      "Done.",
      "",
    ]);
    expect(readable("asked 0:02:10.244361 ago, score 0.123456, limit 0.05")).toBe(
      "asked 0:02:10 ago, score 0.123, limit 0.05",
    );
  });
  it("picks units", () => {
    expect(milliseconds(38.4)).toBe("38 ms");
    expect(milliseconds(3.24)).toBe("3.2 ms");
    expect(milliseconds(1240)).toBe("1.2 s");
    expect(megabytes(44.7)).toBe("45 MB");
    expect(duration(12)).toBe("12 s");
    expect(duration(7260)).toBe("2 h 1 min");
    expect(duration(200_000)).toBe("2 d");
  });
});

describe("names", () => {
  it("shortens hashes and leaves short ids alone", () => {
    expect(short("sha256:0123456789abcdef")).toBe("01234567");
    expect(short("v18")).toBe("v18");
  });
  it("turns identifiers into words", () => {
    expect(words("embedding_mmd")).toBe("Embedding mmd");
    expect(words("")).toBe("");
  });
  it("takes initials", () => {
    expect(initials("operator")).toBe("OP");
    expect(initials("Ada Lovelace")).toBe("AL");
    expect(initials("")).toBe("?");
  });
});

describe("facts", () => {
  it("cut hashes and tell moments to the second", () => {
    expect(factText("model 0123456789abcdef0123456789abcdef")).toBe("model 0123456789ab…");
    expect(factText("2026-11-27T04:45:38.098554+00:00")).toBe("2026-11-27 04:45:38 UTC");
    expect(factText("scratch")).toBe("scratch");
    expect(deed("judge")).toBe("judged the rollout");
    expect(deed("moved v18")).toBe("moved v18");
  });
});
