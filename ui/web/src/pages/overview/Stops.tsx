import type { SlotView, Stage } from "../../api/types";
import { useSources } from "../../app/sources";
import { Rail } from "../../charts/Rail";
import { useWidth } from "../../lib/useWidth";
import { A } from "../../ui/A";
import { Glyph } from "../../ui/Glyph";

interface Props {
  stages: readonly Stage[];
  slots: readonly SlotView[];
  turn: string;
}

export function Stops({ stages, slots, turn }: Props) {
  const [ref, width] = useWidth<HTMLDivElement>();
  return (
    <section className="loop" aria-label="The loop: data, model, service, drift, retrain">
      <div ref={ref} />
      <Rail width={width} stages={stages} slots={slots} turn={turn} />
      <div className="stops">
        {stages.map((stage) => (
          <Stop key={stage.key} stage={stage} />
        ))}
      </div>
      {turn ? (
        <p className="turn" aria-hidden={width > 1000}>
          {turn}
        </p>
      ) : null}
    </section>
  );
}

/** One stop. Where a program that it rests on is silent, it dims and names the program. */
export function Stop({ stage }: { stage: Stage }) {
  const silent = useSources(stage.rests);
  const tone = stage.state === "warn" || stage.state === "bad" ? stage.state : "";
  return (
    <div className={`stop ${silent.length ? "stale" : ""}`}>
      <h2>
        <Glyph kind={stage.state} size={18} ground="var(--band)" />
        {stage.title}
        {stage.link.href ? (
          <A className="l" href={stage.link.href}>
            {stage.link.text}
          </A>
        ) : null}
      </h2>
      {silent.length ? (
        <p
          className="st silent"
          title={silent.map((source) => `${source.name}: ${source.detail}`).join("\n")}
        >
          {silent.map((source) => source.name).join(", ")}{" "}
          {silent.length > 1 ? "do not answer" : "does not answer"}
        </p>
      ) : null}
      <p className={`st ${tone}`} title={stage.status}>
        {stage.status}
      </p>
      <dl>
        {stage.facts.map((fact) => (
          <div key={fact.label}>
            <dt>{fact.label}</dt>
            <dd className={fact.mono ? "mono" : ""} title={`${fact.value} ${fact.aside}`.trim()}>
              <span className={fact.tone === "plain" ? "" : fact.tone}>{fact.value}</span>
              {fact.aside ? <span className="dim"> {fact.aside}</span> : null}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
