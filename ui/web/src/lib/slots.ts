import type { SlotView } from "../api/types";

const COLOURS: Record<string, string> = {
  champion: "champion",
  challenger: "canary",
  canary: "canary",
  shadow: "shadow",
  previous: "previous",
};

export function slotColour(slot: string): string {
  return `var(--${COLOURS[slot] ?? "previous"})`;
}

/** The same colour, dark or light enough for text. */
export function slotInk(slot: string): string {
  return `var(--${COLOURS[slot] ?? "previous"}-ink)`;
}

export function inSlot(slots: readonly SlotView[], slot: string): SlotView | undefined {
  return slots.find((each) => each.slot === slot);
}

/** The version that is being tried: the one beside the champion. */
export function candidate(slots: readonly SlotView[]): SlotView | undefined {
  return inSlot(slots, "challenger") ?? inSlot(slots, "canary") ?? inSlot(slots, "shadow");
}

/** The part of the traffic that a slot answers: the champion has what the others leave. */
export function trafficShare(slots: readonly SlotView[], slot: SlotView): number {
  if (slot.slot === "shadow" || slot.slot === "previous") return 0;
  if (slot.slot !== "champion") return slot.weight;
  const others = slots.filter((each) => each.slot !== "champion" && each.slot !== "shadow");
  return Math.max(0, 1 - others.reduce((sum, each) => sum + each.weight, 0));
}
