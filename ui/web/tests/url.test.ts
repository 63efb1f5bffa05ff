import { describe, expect, it } from "vitest";
import {
  comparedVersions,
  modelSearch,
  overviewSearch,
  parseSearch,
  predictionFilters,
  predictionSearch,
  stringifySearch,
  toggleCompared,
} from "../src/lib/url";

describe("the address", () => {
  it("keeps plain strings there and back", () => {
    const text = stringifySearch({ q: "a b", label: "pit", none: undefined, empty: "" });
    expect(text).toBe("?q=a+b&label=pit");
    expect(parseSearch(text)).toEqual({ q: "a b", label: "pit" });
    expect(stringifySearch({})).toBe("");
  });
  it("holds a range only when it is another than the first", () => {
    expect(overviewSearch({ range: "24h" })).toEqual({ range: "24h" });
    expect(overviewSearch({ range: "1h" })).toEqual({});
    expect(overviewSearch({ range: "junk" })).toEqual({});
  });
  it("drops filters that mean nothing", () => {
    expect(predictionFilters({ label: " pit ", max_confidence: "2", slot: 7, q: "" })).toEqual({
      label: "pit",
      slot: "7",
    });
    expect(predictionFilters({ max_confidence: "0.60" })).toEqual({ max_confidence: "0.6" });
    expect(predictionSearch({ peek: "p-1", junk: "x" })).toEqual({ peek: "p-1" });
  });
});

describe("comparing models", () => {
  it("takes up to four, each once", () => {
    expect(comparedVersions({ v: "a,b,a,,c,d,e" })).toEqual(["a", "b", "c", "d"]);
    expect(modelSearch({ v: "a,a" })).toEqual({ v: "a" });
    expect(modelSearch({})).toEqual({});
  });
  it("adds, removes and refuses a fifth", () => {
    expect(toggleCompared({}, "a")).toEqual({ v: "a" });
    expect(toggleCompared({ v: "a,b" }, "a")).toEqual({ v: "b" });
    expect(toggleCompared({ v: "a" }, "a")).toEqual({});
    expect(toggleCompared({ v: "a,b,c,d" }, "e")).toEqual({ v: "a,b,c,d" });
  });
});
