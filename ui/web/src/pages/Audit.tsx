import { useInfiniteQuery } from "@tanstack/react-query";
import { auditQuery } from "../api/queries";
import type { AuditView } from "../api/types";
import { deed } from "../lib/deeds";
import { count, plural, short } from "../lib/format";
import { Glyph } from "../ui/Glyph";
import { PageHead } from "../ui/PageHead";
import { Empty, Failure, Skeleton } from "../ui/States";
import { Time } from "../ui/Time";
import "./audit.css";

export default function Audit() {
  const audit = useInfiniteQuery(auditQuery);
  const pages = audit.data?.pages ?? [];
  const entries = pages.flatMap((page) => page.entries);
  const newest = pages[0];
  return (
    <>
      <PageHead
        title="Audit log"
        sub="Who did what, when and why. Each entry holds the hash of the one before it."
      />
      {audit.isPending ? <Skeleton height={600} /> : null}
      {audit.isError ? (
        <Failure error={audit.error} what="The audit log" retry={() => void audit.refetch()} />
      ) : null}
      {newest ? (
        <>
          <p className={`chain ${newest.whole ? "ok" : "bad"}`}>
            <Glyph kind={newest.whole ? "ok" : "bad"} />
            {newest.whole
              ? `The chain of ${plural(newest.total, "entry", "entries")} is whole.`
              : `The chain is broken: ${newest.problem}`}
          </p>
          {entries.length === 0 ? (
            <Empty title="Nobody did anything yet.">
              Every change from this console and from the sensors is written down here, with its
              reason.
            </Empty>
          ) : (
            <ol className="entries">
              {entries.map((entry) => (
                <Entry key={entry.id} entry={entry} />
              ))}
            </ol>
          )}
          {audit.hasNextPage ? (
            <button
              className="btn"
              type="button"
              disabled={audit.isFetchingNextPage}
              onClick={() => void audit.fetchNextPage()}
            >
              {audit.isFetchingNextPage
                ? "Reading…"
                : `Older entries, ${count(newest.total - entries.length)} left`}
            </button>
          ) : null}
        </>
      ) : null}
    </>
  );
}

function Entry({ entry }: { entry: AuditView }) {
  return (
    <li>
      <details>
        <summary>
          <Time at={entry.at} />
          <b>{entry.actor}</b>
          <span className="break">
            {deed(entry.action)}
            {entry.reason ? <span className="mut">: “{entry.reason}”</span> : null}
          </span>
          <span className="mono dim hash" title={entry.sha256}>
            {short(entry.sha256)}
          </span>
        </summary>
        <dl className="facts">
          <dt>Entry</dt>
          <dd>{entry.id}</dd>
          <dt>Hash</dt>
          <dd className="mono">{entry.sha256}</dd>
          {Object.entries(entry.details).map(([name, value]) => (
            <div className="pair-row" key={name}>
              <dt>{name}</dt>
              <dd className="mono">{typeof value === "string" ? value : JSON.stringify(value)}</dd>
            </div>
          ))}
        </dl>
      </details>
    </li>
  );
}
