import { Dialog } from "@base-ui/react/dialog";
import { useQuery } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { type KeyboardEvent, useDeferredValue, useId, useState } from "react";
import { findQuery } from "../api/queries";
import { PAGES } from "./pages";
import "./find.css";

/** Ctrl K: pages of the console, and whatever the server finds by name or id. */
export default function FindDialog({ onClose }: { onClose: () => void }) {
  const router = useRouter();
  const list = useId();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const wanted = useDeferredValue(text.trim());
  const found = useQuery(findQuery(wanted));
  const pages = PAGES.filter((page) => page.text.toLowerCase().includes(wanted.toLowerCase()));
  const results = [
    ...(wanted ? (found.data ?? []) : []).filter((part) => part.href),
    ...pages.map((page) => ({ text: page.text, href: page.href, page: true })),
  ];
  const go = (href: string | undefined) => {
    if (!href) return;
    onClose();
    if (href.startsWith("/")) router.history.push(href);
    else window.open(href, "_blank", "noreferrer");
  };
  const onKey = (event: KeyboardEvent) => {
    const last = results.length - 1;
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, last));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Enter") go(results[at]?.href);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className="dialog find-dialog">
          <Dialog.Title className="sr">Find</Dialog.Title>
          <input
            className="find-in"
            role="combobox"
            aria-expanded="true"
            aria-controls={list}
            aria-activedescendant={results[at] ? `${list}-${at}` : undefined}
            aria-label="Find a run, version or prediction"
            placeholder="A version, a run, a prediction, a hash, a page"
            autoComplete="off"
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setAt(0);
            }}
            onKeyDown={onKey}
          />
          <div className="find-list" role="listbox" id={list} aria-label="Found">
            {results.map((each, index) => (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the field above handles the keys
              <div
                key={`${each.href}-${index}`}
                id={`${list}-${index}`}
                role="option"
                tabIndex={-1}
                aria-selected={index === at}
                onClick={() => go(each.href)}
                onMouseMove={() => setAt(index)}
              >
                <span className="break">{each.text}</span>
                <span className="dim">{"page" in each ? "page" : each.href.split("/")[1]}</span>
              </div>
            ))}
          </div>
          <p className="find-foot note" role="status">
            {results.length === 0
              ? found.isFetching
                ? "Looking…"
                : "Nothing found. An id works from its first six characters."
              : found.isError
                ? `Only pages: ${found.error.message}`
                : "Arrows to choose, Enter to open, Esc to close."}
          </p>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
