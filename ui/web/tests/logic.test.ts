import { describe, expect, it } from "vitest";
import { directLabels, markLabels, niceTop, stackedTops, timeTicks } from "../src/charts/scale";
import { heatLevel, isOver, labelledColumns } from "../src/lib/heat";
import { classForKey, keyForClass } from "../src/lib/labelKeys";
import { peekReducer } from "../src/lib/peek";
import { heatColour } from "../src/pages/try/paint";

describe("heat levels", () => {
  it("turn warm only beyond the limit", () => {
    expect([0, 0.35, 0.36, 0.66, 1, 1.01, 1.16, 1.46].map(heatLevel)).toEqual([
      0, 0, 1, 2, 2, 3, 4, 5,
    ]);
  });
  it("know what is over, and that unknown is not", () => {
    expect([isOver(1), isOver(1.001), isOver(null)]).toEqual([false, true, false]);
  });
  it("label columns evenly", () => {
    expect(labelledColumns(28, 4)).toEqual([0, 7, 14, 21]);
    expect(labelledColumns(0, 4)).toEqual([]);
    expect(labelledColumns(2, 9)).toEqual([0, 1]);
  });
});

describe("walking through a list", () => {
  const start = { index: -1, open: false };
  it("goes down and up and stays inside", () => {
    expect(peekReducer(start, { key: "j" }, 3).index).toBe(0);
    expect(peekReducer({ index: 2, open: true }, { key: "J" }, 3)).toEqual({
      index: 2,
      open: true,
    });
    expect(peekReducer({ index: 0, open: false }, { key: "k" }, 3).index).toBe(0);
    expect(peekReducer(start, { key: "End" }, 3).index).toBe(2);
  });
  it("opens with Enter, closes with Escape, ignores the rest", () => {
    expect(peekReducer(start, { key: "Enter" }, 3)).toBe(start);
    expect(peekReducer({ index: 1, open: false }, { key: "Enter" }, 3).open).toBe(true);
    expect(peekReducer({ index: 1, open: true }, { key: "Escape" }, 3)).toEqual({
      index: 1,
      open: false,
    });
    const state = { index: 1, open: true };
    expect(peekReducer(state, { key: "x" }, 3)).toBe(state);
  });
  it("chooses by hand and copes with an empty list", () => {
    expect(peekReducer(start, { select: 9 }, 3)).toEqual({ index: 2, open: true });
    expect(peekReducer({ index: 1, open: true }, { key: "j" }, 0)).toEqual({
      index: -1,
      open: false,
    });
  });
});

describe("label keys", () => {
  const classes = Array.from({ length: 40 }, (_, index) => `class ${index}`);
  it("are digits, then letters without S", () => {
    expect([0, 8, 9, 10, 28].map(keyForClass)).toEqual(["1", "9", "0", "A", "T"]);
    expect(keyForClass(39)).toBe("");
    expect(classForKey("0", classes)).toBe("class 9");
    expect(classForKey("T", classes)).toBe("class 28");
    expect(classForKey("s", classes)).toBeUndefined();
    expect(classForKey("9", ["only"])).toBeUndefined();
  });
});

describe("scales", () => {
  it("end at round numbers", () => {
    expect([0, 0.3, 7, 43.7, 51, 99].map(niceTop)).toEqual([1, 0.4, 8, 50, 60, 100]);
  });
  it("stack and spread", () => {
    const points: { at: string; rates: Record<string, number> }[] = [
      { at: "", rates: { a: 1, b: 2 } },
      { at: "", rates: { a: 3 } },
    ];
    expect(stackedTops(points, ["a", "b"])).toEqual({ total: [3, 3], last: [3, 3] });
    expect(timeTicks(0, 30, 4)).toEqual([0, 10, 20, 30]);
    expect(timeTicks(5, 5, 4)).toEqual([5]);
    const spread = directLabels([
      { text: "b", colour: "", y: 12 },
      { text: "a", colour: "", y: 10 },
    ]);
    expect(spread.map((label) => label.y)).toEqual([10, 25]);
    expect(directLabels(spread, 15, 20).map((label) => label.y)).toEqual([5, 20]);
  });
  it("put names of marks that are close below each other", () => {
    const marks = [1000, 50_000, 51_000].map((at) => ({
      at: new Date(at).toISOString(),
      label: "v2 to 1%",
    }));
    const place = (some: typeof marks) =>
      markLabels(some, 0, 60_000, 30, 600).map((mark) => [mark.row, mark.anchor]);
    expect(place(marks)).toEqual([
      [0, "end"],
      [1, "end"],
      [0, "start"],
    ]);
    expect(place([...marks, ...marks, ...marks])).toHaveLength(6);
  });
  it("show nothing where the model did not look", () => {
    expect(heatColour(0)[3]).toBe(0);
    expect(heatColour(2)).toEqual(heatColour(1));
  });
});
