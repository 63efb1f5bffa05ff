import { type ReactNode, useId } from "react";
import { useSources } from "../app/sources";
import { A } from "./A";
import { Glyph } from "./Glyph";
import { Time } from "./Time";

interface Props {
  title: string;
  meta?: ReactNode;
  more?: { text: string; href: string } | undefined;
  /** Names of the programs that this panel's numbers come from. */
  rests?: readonly string[];
  children: ReactNode;
  className?: string;
}

/** A titled part of a page. It dims, and says why, where a program that it rests on is silent. */
export function Panel({ title, meta, more, rests = [], children, className = "" }: Props) {
  const id = useId();
  const silent = useSources(rests);
  return (
    <section className={`p ${silent.length ? "stale" : ""} ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {meta ? <span className="m">{meta}</span> : null}
        {more ? (
          <A className="l end" href={more.href}>
            {more.text}
          </A>
        ) : null}
      </header>
      {silent.map((source) => (
        <p className="src" key={source.name}>
          <Glyph kind="warn" size={14} ground="var(--warn-soft)" />
          <span>
            {source.name} does not answer: {source.detail || "no reason given"}
            {source.seen_at ? (
              <>
                , as of <Time at={source.seen_at} />
              </>
            ) : null}
          </span>
        </p>
      ))}
      {children}
    </section>
  );
}
