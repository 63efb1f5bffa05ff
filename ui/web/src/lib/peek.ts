/** Walking through a list with a panel beside it, from the keyboard. */
export interface Peek {
  index: number;
  open: boolean;
}

export type PeekEvent = { key: string } | { select: number } | { close: true };

const DOWN = new Set(["j", "J", "ArrowDown"]);
const UP = new Set(["k", "K", "ArrowUp"]);

export function peekReducer(state: Peek, event: PeekEvent, rows: number): Peek {
  if (rows === 0) return { index: -1, open: false };
  if ("close" in event) return state.open ? { ...state, open: false } : state;
  if ("select" in event) {
    const index = Math.min(Math.max(event.select, 0), rows - 1);
    return { index, open: true };
  }
  const { key } = event;
  if (DOWN.has(key)) return { ...state, index: Math.min(state.index + 1, rows - 1) };
  if (UP.has(key)) return { ...state, index: Math.max(state.index - 1, 0) };
  if (key === "Home") return { ...state, index: 0 };
  if (key === "End") return { ...state, index: rows - 1 };
  if (key === "Enter") return state.index < 0 ? state : { ...state, open: true };
  if (key === "Escape") return state.open ? { ...state, open: false } : state;
  return state;
}
