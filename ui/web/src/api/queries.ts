import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import type { PredictionFilters } from "../lib/url";
import { get, query, setCsrf } from "./client";
import type {
  Alerts,
  Audit,
  Automation,
  Drift,
  Keys,
  LineageGraph,
  Loop,
  Me,
  ModelDetail,
  ModelRow,
  Part,
  PredictionDetail,
  Predictions,
  Queue,
  Range,
  Rollout,
  Sample,
  WaysIn,
} from "./types";

const path = encodeURIComponent;

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async ({ signal }) => {
    const me = await get<Me>("/me", signal);
    setCsrf(me.csrf);
    return me;
  },
  staleTime: 60_000,
});

export const waysInQuery = queryOptions({
  queryKey: ["login"],
  queryFn: ({ signal }) => get<WaysIn>("/login", signal),
  staleTime: Number.POSITIVE_INFINITY,
});

export const loopQuery = (range: Range) =>
  queryOptions({
    queryKey: ["loop", range],
    queryFn: ({ signal }) => get<Loop>(`/loop${query({ range })}`, signal),
    placeholderData: (before) => before,
    refetchInterval: 30_000,
  });

export const rolloutQuery = queryOptions({
  queryKey: ["rollout"],
  queryFn: ({ signal }) => get<Rollout>("/rollout", signal),
});

export const driftQuery = queryOptions({
  queryKey: ["drift"],
  queryFn: ({ signal }) => get<Drift>("/drift", signal),
});

export const modelsQuery = queryOptions({
  queryKey: ["models"],
  queryFn: ({ signal }) => get<ModelRow[]>("/models", signal),
});

export const modelQuery = (version: string) =>
  queryOptions({
    queryKey: ["models", version],
    queryFn: ({ signal }) => get<ModelDetail>(`/models/${path(version)}`, signal),
    staleTime: 300_000,
  });

export const PAGE = 200;

export const predictionsQuery = (filters: PredictionFilters) =>
  infiniteQueryOptions({
    queryKey: ["predictions", "list", filters],
    queryFn: ({ signal, pageParam }) =>
      get<Predictions>(
        `/predictions${query({ limit: PAGE, before: pageParam, ...filters })}`,
        signal,
      ),
    initialPageParam: "",
    getNextPageParam: (last) => last.older,
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: (before) => before,
  });

export const predictionQuery = (id: string) =>
  queryOptions({
    queryKey: ["predictions", "one", id],
    queryFn: ({ signal }) => get<PredictionDetail>(`/predictions/${path(id)}`, signal),
    staleTime: 60_000,
  });

export const lineageQuery = (id: string) =>
  queryOptions({
    queryKey: ["lineage", id],
    queryFn: ({ signal }) => get<LineageGraph>(`/lineage/${path(id)}`, signal),
    staleTime: 60_000,
  });

export const samplesQuery = queryOptions({
  queryKey: ["samples"],
  queryFn: ({ signal }) => get<Sample[]>("/samples", signal),
  staleTime: 300_000,
});

export const queueQuery = queryOptions({
  queryKey: ["labels"],
  queryFn: ({ signal }) => get<Queue>("/labels", signal),
});

export const alertsQuery = queryOptions({
  queryKey: ["alerts"],
  queryFn: ({ signal }) => get<Alerts>("/alerts", signal),
});

export const AUDIT_PAGE = 50;

export const auditQuery = infiniteQueryOptions({
  queryKey: ["audit"],
  queryFn: ({ signal, pageParam }) =>
    get<Audit>(`/audit${query({ limit: AUDIT_PAGE, before: pageParam })}`, signal),
  initialPageParam: undefined as number | undefined,
  getNextPageParam: (last) =>
    last.entries.length < AUDIT_PAGE ? undefined : last.entries[last.entries.length - 1]?.id,
});

export const automationQuery = queryOptions({
  queryKey: ["automation"],
  queryFn: ({ signal }) => get<Automation>("/automation", signal),
});

export const keysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: ({ signal }) => get<Keys>("/keys", signal),
});

export const findQuery = (q: string) =>
  queryOptions({
    queryKey: ["find", q],
    queryFn: ({ signal }) => get<Part[]>(`/find${query({ q })}`, signal),
    enabled: q.trim().length > 0,
    placeholderData: (before) => before,
  });
