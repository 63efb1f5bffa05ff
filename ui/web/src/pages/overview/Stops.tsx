import type { SlotView, Stage } from "../../api/types";
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
          <div className="stop" key={stage.key}>
            <h2>
              <Glyph kind={stage.state} size={18} ground="var(--band)" />
              {stage.title}
              {stage.link.href ? (
                <A className="l" href={stage.link.href}>
                  {stage.link.text}
                </A>
              ) : null}
            </h2>
            <p
              className={`st ${stage.state === "warn" || stage.state === "bad" ? stage.state : ""}`}
              title={stage.status}
            >
              {stage.status}
            </p>
            <dl>
              {stage.facts.map((fact) => (
                <div key={fact.label}>
                  <dt>{fact.label}</dt>
                  <dd
                    className={fact.mono ? "mono" : ""}
                    title={`${fact.value} ${fact.aside}`.trim()}
                  >
                    <span className={fact.tone === "plain" ? "" : fact.tone}>{fact.value}</span>
                    {fact.aside ? <span className="dim"> {fact.aside}</span> : null}
                  </dd>
                </div>
              ))}
            </dl>
          </div>
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
