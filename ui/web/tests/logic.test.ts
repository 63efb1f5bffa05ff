import { describe, expect, it } from "vitest";
import { alerts } from "../dev/fixtures-more";
import {
  countTicks,
  directLabels,
  markLabels,
  niceTop,
  roundTicks,
  stackedTops,
  timeTicks,
} from "../src/charts/scale";
import { briefly } from "../src/lib/deeds";
import { heatLevel, isOver, labelledColumns } from "../src/lib/heat";
import { classForKey, keyForClass } from "../src/lib/labelKeys";
import { peekReducer } from "../src/lib/peek";
import { isForPage } from "../src/lib/useKeys";
import { bySeverity } from "../src/pages/Alerts";
import { canvasHeight, LEAST_ZOOM, startView } from "../src/pages/lineage/layout";
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

describe("axes", () => {
  it("have round numbers, none below 0", () => {
    expect(roundTicks(1462)).toEqual([0, 500, 1000, 1500]);
    expect(roundTicks(5.5)).toEqual([0, 2, 4, 6]);
    expect(roundTicks(0)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(countTicks(8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(countTicks(40)).toEqual([1, 6, 11, 16, 21, 26, 31, 36]);
  });
});

describe("keys of a page", () => {
  it("are its own, but for fields, dialogs and what Enter would press", () => {
    document.body.innerHTML = "<input><button>b</button><div role='grid'></div>";
    const [field, button, grid] = ["input", "button", "div"].map((name) =>
      document.querySelector(name),
    );
    expect([document.body, button!, grid!].map((each) => isForPage("j", each))).toEqual([
      true,
      true,
      true,
    ]);
    expect(isForPage("j", field!)).toBe(false);
    expect(isForPage("Enter", button!)).toBe(false);
    expect([isForPage("ArrowDown", document.body), isForPage("ArrowDown", grid!)]).toEqual([
      false,
      true,
    ]);
    document.body.innerHTML = "<div role='dialog'></div>";
    expect(isForPage("Escape", document.body)).toBe(false);
  });
});

describe("a lineage", () => {
  const at = new Map([
    ["a", { x: 0, y: 0 }],
    ["z", { x: 1800, y: 100 }],
  ]);
  it("is never smaller than its text can be read, and begins at what was asked for", () => {
    const view = startView(at, at.get("z"), 1160, canvasHeight(at));
    expect([view.zoom, view.cut]).toEqual([LEAST_ZOOM, true]);
    expect(view.x + 1800 * view.zoom).toBeGreaterThan(0);
    expect(view.x + (1800 + 164) * view.zoom).toBeLessThanOrEqual(1160);
  });
  it("is in the middle where there is room", () => {
    const view = startView(at, undefined, 4000, 400);
    expect([view.cut, view.zoom]).toEqual([false, 1.1]);
    expect(view.x).toBeCloseTo((4000 - 1964 * 1.1) / 2);
  });
});

describe("lists", () => {
  it("have the most severe alert first", () => {
    const alert = (id: string, severity: "critical" | "warning" | "info", started_at: string) => ({
      ...alerts.alerts[0]!,
      id,
      severity,
      started_at,
    });
    const mixed = [
      alert("i", "info", "2026-01-03T00:00:00Z"),
      alert("w1", "warning", "2026-01-01T00:00:00Z"),
      alert("c", "critical", "2026-01-01T00:00:00Z"),
      alert("w2", "warning", "2026-01-02T00:00:00Z"),
    ];
    expect(bySeverity(mixed).map((each) => each.id)).toEqual(["c", "w2", "w1", "i"]);
  });
  it("tell a judgement without its intervals", () => {
    expect(
      briefly(
        "failed: -0.0004 to +0.0040, margin 0.005: not worse; slow: -0.0 to +0.1, margin 0.02: unclear",
      ),
    ).toBe("failed not worse; slow unclear");
  });
});
