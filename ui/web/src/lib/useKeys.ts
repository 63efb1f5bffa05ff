import { useEffect, useRef } from "react";

const FIELDS = "input, select, textarea, [contenteditable=true]";
const DIALOGS = "[role=dialog], [role=alertdialog]";
/** What acts on Enter, and on arrows, by itself. */
const OWN = "a, button, summary";
const SCROLLS = new Set(["ArrowUp", "ArrowDown", "Home", "End"]);

/** Whether a page may take a key: not from a field or a dialog, nor what the focus is on needs. */
export function isForPage(key: string, target: EventTarget | null): boolean {
  if (document.querySelector(DIALOGS)) return false;
  if (!(target instanceof Element)) return true;
  if (target.closest(FIELDS)) return false;
  if (key === "Enter") return !target.closest(OWN);
  return !SCROLLS.has(key) || target.closest("[role=grid]") !== null;
}

/** Gives keys to `onKey` wherever the focus is; one that it tells was of use goes no further. */
export function useKeys(onKey: (key: string) => boolean) {
  const latest = useRef(onKey);
  useEffect(() => {
    latest.current = onKey;
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (isForPage(event.key, event.target) && latest.current(event.key)) event.preventDefault();
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
}
