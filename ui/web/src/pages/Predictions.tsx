import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type KeyboardEvent, useCallback, useMemo, useState } from "react";
import { predictionsQuery } from "../api/queries";
import { count } from "../lib/format";
import { type Peek as PeekState, peekReducer } from "../lib/peek";
import { predictionFilters } from "../lib/url";
import { A } from "../ui/A";
import { PageHead } from "../ui/PageHead";
import { Empty, Failure, Skeleton } from "../ui/States";
import { Filters } from "./predictions/Filters";
import { List } from "./predictions/List";
import { Peek } from "./predictions/Peek";
import "./predictions/predictions.css";

export default function Predictions() {
  const search = useSearch({ from: "/shell/predictions" });
  const navigate = useNavigate({ from: "/predictions" });
  const filters = predictionFilters({ ...search });
  const found = useInfiniteQuery(predictionsQuery(filters));
  const rows = useMemo(() => found.data?.pages.flatMap((page) => page.rows) ?? [], [found.data]);
  const total = found.data?.pages[0]?.total ?? 0;
  const [index, setIndex] = useState(-1);

  const move = (next: PeekState) => {
    setIndex(next.index);
    const id = next.open ? rows[next.index]?.id : undefined;
    if (id !== search.peek) {
      void navigate({
        search: { ...filters, ...(id ? { peek: id } : {}) },
        replace: true,
        resetScroll: false,
      });
    }
  };
  const now: PeekState = { index, open: search.peek !== undefined };
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = peekReducer(now, { key: event.key }, rows.length);
    if (next.index === now.index && next.open === now.open) return;
    event.preventDefault();
    move(next);
  };
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = found;
  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [fetchNextPage, hasNextPage, isFetchingNextPage]);

  return (
    <>
      <PageHead
        title="Predictions"
        sub={
          <>
            {found.data
              ? `${count(total)} answers match, ${count(rows.length)} read. `
              : "Reading answers. "}
            <span className="keys-hint">
              <kbd>J</kbd> <kbd>K</kbd> walk, <kbd>Enter</kbd> opens, <kbd>Esc</kbd> closes.
            </span>
          </>
        }
      >
        <button
          className="btn"
          type="button"
          disabled={found.isRefetching}
          onClick={() => void found.refetch()}
        >
          Read the newest
        </button>
      </PageHead>
      <Filters />
      {/* biome-ignore lint/a11y/noStaticElementInteractions: Esc closes from the panel as from the list */}
      <div
        className={`answers ${search.peek ? "open" : ""}`}
        onKeyDown={(event) => event.key === "Escape" && search.peek && move({ index, open: false })}
      >
        {found.isPending ? (
          <Skeleton height={600} />
        ) : found.isError && rows.length === 0 ? (
          <Failure error={found.error} what="Answers" retry={() => void found.refetch()} />
        ) : rows.length === 0 ? (
          <Nothing filtered={Object.keys(filters).length > 0} />
        ) : (
          <List
            rows={rows}
            total={total}
            index={index}
            onKey={onKey}
            onSelect={(select) => move(peekReducer(now, { select }, rows.length))}
            onEnd={onEnd}
          />
        )}
        {search.peek ? (
          <Peek id={search.peek} onClose={() => move({ index, open: false })} />
        ) : null}
      </div>
    </>
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  if (filtered)
    return <Empty title="No answer matches.">Loosen a filter, or clear them all.</Empty>;
  return (
    <Empty title="Nothing was asked yet.">
      <A className="l" href="/try">
        Try an image
      </A>
      , or run <code className="mono">make demo</code> for a stream of requests.
    </Empty>
  );
}
