import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

export interface Live {
  connected: boolean;
  /** When the server was last heard, in milliseconds. */
  at: number | null;
}

/** What an event does not change; a long list of answers is read again only when asked. */
const KEPT = new Set(["me", "find", "samples", "lineage"]);

/** Listens to the server's stream and reads everything on screen again when something changed. */
export function useLive(enabled: boolean): Live {
  const client = useQueryClient();
  const [live, setLive] = useState<Live>({ connected: false, at: null });
  useEffect(() => {
    if (!enabled || typeof EventSource === "undefined") return;
    const source = new EventSource("/api/v1/stream");
    const heard = () => setLive({ connected: true, at: Date.now() });
    source.addEventListener("open", heard);
    source.addEventListener("loop", () => {
      heard();
      void client.invalidateQueries({
        predicate: (each) => !KEPT.has(String(each.queryKey[0])) && each.queryKey[1] !== "list",
      });
    });
    source.addEventListener("error", () => setLive((before) => ({ ...before, connected: false })));
    return () => source.close();
  }, [client, enabled]);
  return live;
}
