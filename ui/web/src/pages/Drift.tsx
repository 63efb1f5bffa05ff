import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { driftQuery } from "../api/queries";
import type { Drift } from "../api/types";
import { HeatStrip } from "../charts/HeatStrip";
import { countTicks, roundTicks } from "../charts/scale";
import { count, fixed, percent, sentence, words } from "../lib/format";
import { A } from "../ui/A";
import { Glyph } from "../ui/Glyph";
import { Load } from "../ui/Load";
import { Magnitude } from "../ui/Magnitude";
import { PageHead } from "../ui/PageHead";
import { Panel } from "../ui/Panel";
import { Scroll } from "../ui/Scroll";
import { Empty, Skeleton } from "../ui/States";
import { Time } from "../ui/Time";
import { Pairs } from "./drift/Pairs";
import { Accuracy, Classes } from "./drift/Tables";

const Lines = lazy(() => import("../charts/Lines"));
const RESTS = ["Artifact store"];

export default function DriftPage() {
  const drift = useQuery(driftQuery);
  return (
    <>
      <PageHead
        title="Drift"
        sub="Whether what is asked still looks like what the model was trained on."
      >
        {drift.data?.report ? (
          <a className="btn" href={drift.data.report} target="_blank" rel="noreferrer">
            Whole report
          </a>
        ) : null}
      </PageHead>
      <Load query={drift} what="The drift report" height={640}>
        {(data) => (data.known ? <Report drift={data} /> : <Nothing />)}
      </Load>
    </>
  );
}

function Nothing() {
  return (
    <Empty title="No drift report yet.">
      Once a model has answered a window of requests, the job monitor compares them with the
      reference of its training. Run <code className="mono">make demo</code> for a stream of
      requests, or{" "}
      <A className="l" href="/automation">
        launch monitor
      </A>
      .
    </Empty>
  );
}

function Report({ drift }: { drift: Drift }) {
  const over = drift.heat.rows.filter((row) => row.over).length;
  return (
    <div className="page-rows">
      <div className="row two">
        <Panel title="Verdict" meta={drift.at ? <Time at={drift.at} /> : undefined} rests={RESTS}>
          <Verdict drift={drift} />
        </Panel>
        <Panel
          title="Evidence of drift"
          meta={`logarithm of the e-value, alarm at ${fixed(Math.log(drift.alarm_at), 1)}`}
          rests={RESTS}
        >
          <Evidence drift={drift} />
        </Panel>
      </div>
      <div className="row two">
        <Panel
          title="Drift by signal"
          meta={`${over} of ${drift.heat.rows.length} over, ${drift.heat.measure}`}
        >
          {drift.heat.rows.length ? (
            <HeatStrip heat={drift.heat} />
          ) : (
            <Empty title="No signals in this report." />
          )}
        </Panel>
        <Panel title="Accuracy" meta="with intervals">
          <Accuracy rows={drift.accuracy} />
        </Panel>
      </div>
      <div className="row two">
        <Panel title="Classes" meta="share of answers, then and now">
          <Classes rows={drift.classes} />
        </Panel>
        <Panel title="Pairs" meta="a request's image beside its nearest in training">
          <Pairs pairs={drift.pairs} />
        </Panel>
      </div>
    </div>
  );
}

function Verdict({ drift }: { drift: Drift }) {
  const bad = /drift|alarm|bad/i.test(drift.verdict) && !/^no/i.test(drift.verdict);
  return (
    <>
      <ul className="todo">
        <li>
          <Glyph kind={bad ? "warn" : "ok"} />
          <div>
            <b>{words(drift.verdict)}</b>
            <span>{sentence(drift.reason)}</span>
          </div>
        </li>
        <li>
          <Glyph kind="ask" />
          <div>
            <b>{/^none$/i.test(drift.action) ? "Nothing to do" : words(drift.action)}</b>
            <span>{sentence(drift.action_reason)}</span>
          </div>
        </li>
      </ul>
      <dl className="facts">
        <dt>Model</dt>
        <dd>{drift.model}</dd>
        <dt>Answers looked at</dt>
        <dd>
          {count(drift.window_rows)}{" "}
          <span className="dim">in windows of {count(drift.window_size)}</span>
        </dd>
        <dt>Evidence (e-value)</dt>
        <dd>
          <Magnitude value={drift.evidence} />{" "}
          <span className="dim">
            alarm at <Magnitude value={drift.alarm_at} />
          </span>
        </dd>
        <dt>False alarms allowed</dt>
        <dd>{percent(drift.alpha)}</dd>
      </dl>
      {drift.signals.length ? (
        <Scroll label="Signals by their evidence" className="evidence">
          <table>
            <caption className="sr">Signals by their evidence</caption>
            <thead>
              <tr>
                <th scope="col">Signal</th>
                <th scope="col">Log evidence</th>
                <th scope="col">Adjusted p</th>
                <th scope="col">Direction</th>
                <th scope="col">Since window</th>
              </tr>
            </thead>
            <tbody>
              {drift.signals.slice(0, 6).map((signal) => (
                <tr key={signal.name}>
                  <td>{words(signal.name)}</td>
                  <td>{fixed(signal.evidence, Math.abs(signal.evidence) < 100 ? 1 : 0)}</td>
                  <td>
                    <Magnitude value={signal.adjusted} />
                  </td>
                  <td>{signal.direction > 0 ? "up" : signal.direction < 0 ? "down" : "both"}</td>
                  <td>{signal.since}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      ) : null}
    </>
  );
}

function Evidence({ drift }: { drift: Drift }) {
  if (drift.history.length === 0) {
    return (
      <Empty title="No window is full yet.">The curve starts with the first whole window.</Empty>
    );
  }
  const alarmAt = Math.log(drift.alarm_at);
  // Below 0 nothing speaks for drift, and how far below is of no use.
  const rows = drift.history.map((log, index) => ({
    window: index + 1,
    evidence: Math.max(0, log),
  }));
  const ticks = roundTicks(Math.max(alarmAt * 1.2, ...drift.history));
  // As tall as the verdict beside it, with its table of signals.
  const height = drift.signals.length ? 340 : 230;
  const alarm =
    drift.alarm_window > 0
      ? `Over the alarm line since window ${drift.alarm_window}.`
      : "Below the alarm line.";
  return (
    <>
      <Suspense fallback={<Skeleton height={height} />}>
        <Lines
          rows={rows}
          x="window"
          series={[{ name: "evidence", colour: "var(--champion)", dots: rows.length < 30 }]}
          said={`Evidence after each of ${rows.length} windows. ${alarm}`}
          height={height}
          xLabel="window"
          level={{ y: alarmAt, text: "alarm" }}
          yDomain={[0, ticks[ticks.length - 1]!]}
          xTicks={countTicks(rows.length)}
          yTicks={ticks}
          digits={1}
        />
      </Suspense>
      <p className="note">{alarm}</p>
    </>
  );
}
