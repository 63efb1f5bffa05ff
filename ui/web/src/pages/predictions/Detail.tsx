import type { PredictionDetail } from "../../api/types";
import { factText } from "../../lib/facts";
import { fixed, milliseconds, percent, share, short } from "../../lib/format";
import { A } from "../../ui/A";
import { Bars } from "../../ui/Bars";
import { Neighbours } from "../../ui/Neighbours";
import { Time } from "../../ui/Time";

/** What one answer was, what it rests on, and where that leads. */
export function Detail({ detail, links = true }: { detail: PredictionDetail; links?: boolean }) {
  return (
    <div className="detail">
      <Answer detail={detail} />
      <section>
        <h3>Probabilities</h3>
        <Bars values={detail.probabilities} top={8} />
      </section>
      <section>
        <h3>Nearest training images</h3>
        <Neighbours nearest={detail.nearest} />
      </section>
      <section>
        <h3>Facts</h3>
        <Facts detail={detail} />
      </section>
      {links ? (
        <div className="acts">
          <A className="btn" href={`/lineage/${encodeURIComponent(detail.id)}`}>
            Lineage{detail.receipt ? " and receipt" : ""}
          </A>
          <A className="btn" href={`/models/${encodeURIComponent(detail.version)}`}>
            Model {detail.model}
          </A>
        </div>
      ) : null}
    </div>
  );
}

export function Answer({ detail }: { detail: PredictionDetail }) {
  const wrong = detail.truth !== null && detail.truth !== detail.label;
  return (
    <p className="answer">
      <b>{detail.label}</b> {percent(detail.confidence)}
      {detail.truth === null ? (
        <span className="dim"> no label yet</span>
      ) : (
        <span className={wrong ? "bad" : "ok"}>
          {" "}
          {wrong ? `wrong, it is ${detail.truth}` : "right, by its label"}
        </span>
      )}
    </p>
  );
}

export function Facts({ detail }: { detail: PredictionDetail }) {
  return (
    <dl className="facts">
      <dt>At</dt>
      <dd>
        <Time at={detail.at} />
      </dd>
      <dt>Model</dt>
      <dd>
        {detail.model} {detail.slot}, {share(detail.weight)}
      </dd>
      <dt>Latency</dt>
      <dd>
        {milliseconds(detail.latency_ms)}
        {detail.cached ? " cached" : ""}
      </dd>
      <dt>Novelty</dt>
      <dd>{fixed(detail.novelty)}</dd>
      <dt>Caller</dt>
      <dd>{detail.caller || "unnamed"}</dd>
      <dt>Step, revision</dt>
      <dd>
        {detail.step}, {detail.revision}
      </dd>
      <dt>Program</dt>
      <dd className="mono" title={detail.program_sha256}>
        {short(detail.program_sha256, 12)}
      </dd>
      <dt>Record</dt>
      <dd className="mono" title={detail.record_sha256}>
        {short(detail.record_sha256, 12)}
      </dd>
      {Object.entries(detail.origin).map(([name, value]) => (
        <div className="pair-row" key={name}>
          <dt>{name}</dt>
          <dd title={value}>{factText(value)}</dd>
        </div>
      ))}
    </dl>
  );
}
