import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Failure, Skeleton } from "./States";

interface Props<T> {
  query: UseQueryResult<T>;
  what: string;
  height: number;
  children: (data: T) => ReactNode;
}

/** Shows what a query has; data that was read before stays while a newer reading fails. */
export function Load<T>({ query, what, height, children }: Props<T>) {
  if (query.data !== undefined) return children(query.data);
  if (query.isError) {
    return <Failure error={query.error} what={what} retry={() => void query.refetch()} />;
  }
  return <Skeleton height={height} label={`Loading ${what.toLowerCase()}`} />;
}
