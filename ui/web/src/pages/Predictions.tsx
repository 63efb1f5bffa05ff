import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { predictionsQuery } from "../api/queries";
import { count } from "../lib/format";
import { type Peek as PeekState, peekReducer } from "../lib/peek";
import { predictionFilters } from "../lib/url";
import { useKeys } from "../lib/useKeys";
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
  const held = found.data?.pages[0]?.held ?? 0;
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
  useKeys((key) => {
    const next = peekReducer(now, { key }, rows.length);
    if (next.index === now.index && next.open === now.open) return false;
    move(next);
    return true;
  });
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
              ? `${total === held ? "The" : `${count(total)} of the`} latest ${count(held)} answers, ${count(rows.length)} read. `
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
      <div className={`answers ${search.peek ? "open" : ""}`}>
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
