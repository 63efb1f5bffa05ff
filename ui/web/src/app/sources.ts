import { useQueryClient } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import type { Loop, Source } from "../api/types";

export const SourcesContext = createContext<readonly Source[]>([]);

/** The sources among `names` that are connected and do not answer. */
export function silentSources(all: readonly Source[], names: readonly string[]): Source[] {
  const wanted = names.map((name) => name.toLowerCase());
  return all.filter(
    (source) =>
      source.configured &&
      !source.ok &&
      wanted.some((name) => source.name.toLowerCase().includes(name)),
  );
}

export function useSources(names: readonly string[]): Source[] {
  return silentSources(useContext(SourcesContext), names);
}

/** The newest loop that was fetched, for whatever range. */
export function useLatestLoop(): Loop | undefined {
  const client = useQueryClient();
  const found = client.getQueriesData<Loop>({ queryKey: ["loop"] });
  return found.find(([, loop]) => loop)?.[1];
}
