import type { Loop, Me, Source } from "../api/types";
import { count, share } from "../lib/format";
import { candidate, trafficShare } from "../lib/slots";
import { A } from "../ui/A";
import { Glyph } from "../ui/Glyph";
import { Time } from "../ui/Time";
import { Icon, Mark } from "./icons";
import { PAGES, type PageLink } from "./pages";

interface Props {
  me: Me;
  loop: Loop | undefined;
  path: string;
  open: boolean;
}

export function Sidebar({ me, loop, path, open }: Props) {
  return (
    <aside className="side" id="menu" data-open={open} aria-label="Console">
      <div className="who">
        <Mark />
        <span>
          <b title={me.project}>{me.project}</b>
          <small>{me.profile}</small>
        </span>
      </div>
      <nav className="nav" aria-label="Main">
        {PAGES.map((page) => (
          <A
            key={page.href}
            href={page.href}
            aria-current={isHere(page.href, path) ? "page" : undefined}
          >
            <Icon name={page.icon} />
            {page.text}
            <Badge page={page} loop={loop} />
          </A>
        ))}
      </nav>
      <nav className="under" aria-label="Services underneath">
        <h2>Running underneath</h2>
        <ul>
          {(loop?.sources ?? []).map((source) => (
            <li key={source.name}>
              <SourceLine source={source} />
            </li>
          ))}
        </ul>
      </nav>
    </aside>
  );
}

function isHere(href: string, path: string): boolean {
  return href === "/" ? path === "/" : path === href || path.startsWith(`${href}/`);
}

function Badge({ page, loop }: { page: PageLink; loop: Loop | undefined }) {
  if (!loop) return <span />;
  if (page.href === "/rollout") {
    const tried = candidate(loop.rollout.slots);
    return tried ? (
      <span className="n">
        {tried.slot === "shadow" ? "shadow" : share(trafficShare(loop.rollout.slots, tried))}
      </span>
    ) : (
      <span />
    );
  }
  const value = page.counts.map((key) => loop.counts[key]).find((each) => each !== undefined);
  return value ? <span className={page.warns ? "n warn" : "n"}>{count(value)}</span> : <span />;
}

function SourceLine({ source }: { source: Source }) {
  const kind = !source.configured ? "idle" : source.ok ? "ok" : "warn";
  const words = !source.configured ? "off" : source.ok ? source.detail : "no answer";
  const title = source.configured ? (source.ok ? undefined : source.detail) : "Not connected";
  const inner = (
    <>
      <Glyph kind={kind} size={10} />
      {source.name}
      <span className={`nowrap ${kind === "warn" ? "warn" : "dim"}`}>
        {kind === "warn" && source.seen_at ? (
          <>
            since <Time at={source.seen_at} form="short" />
          </>
        ) : (
          words
        )}
      </span>
    </>
  );
  return source.url ? (
    <a href={source.url} target="_blank" rel="noreferrer" title={title}>
      {inner}
    </a>
  ) : (
    <div title={title}>{inner}</div>
  );
}
