import { cleanup } from "@testing-library/react";
import { afterEach } from "vitest";

afterEach(cleanup);

// jsdom has no layout; what is drawn to measure gets a fixed measure.
Object.defineProperty(HTMLElement.prototype, "clientWidth", { configurable: true, get: () => 800 });

class Observer implements ResizeObserver {
  observe() {}
  unobserve() {}
  disconnect() {}
}
globalThis.ResizeObserver = Observer;
