import { useSyncExternalStore } from "react";
import { Glyph } from "./Glyph";

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

let toasts: readonly Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

function set(next: readonly Toast[]) {
  toasts = next;
  for (const tell of listeners) tell();
}

export function toast(text: string, bad = false) {
  last += 1;
  const id = last;
  set([...toasts.slice(-2), { id, text, bad }]);
  setTimeout(() => set(toasts.filter((each) => each.id !== id)), bad ? 10_000 : 6_000);
}

function subscribe(tell: () => void) {
  listeners.add(tell);
  return () => {
    listeners.delete(tell);
  };
}

export function Toasts() {
  const shown = useSyncExternalStore(subscribe, () => toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((each) => (
        <div className="toast" key={each.id}>
          <Glyph kind={each.bad ? "bad" : "ok"} ground="var(--surface)" />
          <span className="break">{each.text}</span>
        </div>
      ))}
    </div>
  );
}
