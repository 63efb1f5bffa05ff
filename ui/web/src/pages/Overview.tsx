import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { loopQuery } from "../api/queries";
import type { Loop, Traffic } from "../api/types";
import { HeatStrip, heatHeight } from "../charts/HeatStrip";
import { count, milliseconds, percent, words } from "../lib/format";
import { slotColour } from "../lib/slots";
import { useTitle } from "../lib/useTitle";
import { Sentence } from "../ui/A";
import { AuditList } from "../ui/AuditList";
import { Needs } from "../ui/Needs";
import { Panel } from "../ui/Panel";
import { Scroll } from "../ui/Scroll";
import { Empty, Failure, Skeleton } from "../ui/States";
import { Drifted } from "./overview/Drifted";
import { GoOn } from "./overview/GoOn";
import { Stops } from "./overview/Stops";
import "../styles/duel.css";
import "./overview.css";

const TrafficArea = lazy(() => import("../charts/TrafficArea"));

const SPANS: Record<Traffic["range"], string> = {
  "1h": "last 60 min",
  "24h": "last 24 h",
  "14d": "last 14 days",
};

export default function Overview() {
  useTitle("Overview");
  const search = useSearch({ from: "/shell/" });
  const loop = useQuery(loopQuery(search.range ?? "1h"));
  if (loop.data) return <Page loop={loop.data} />;
  if (loop.isError) {
    return (
      <>
        <h1>Overview</h1>
        <Failure error={loop.error} what="The loop" retry={() => void loop.refetch()} />
      </>
    );
  }
  return <Waiting />;
}

function Page({ loop }: { loop: Loop }) {
  return (
    <div className="overview">
      <h1>
        <Sentence parts={loop.headline} />
      </h1>
      <p className="sub">{loop.subline}</p>
      <Stops stages={loop.stages} slots={loop.rollout.slots} turn={loop.turn} />
      <div className="row">
        <Panel
          title="Requests per second by version"
          meta={SPANS[loop.traffic.range]}
          more={{ text: "Open rollout", href: "/rollout" }}
          rests={["Journal"]}
          className="traffic"
        >
          <TrafficPanel traffic={loop.traffic} />
        </Panel>
        <GoOn rollout={loop.rollout} />
        <Panel
          title="Needs you"
          meta={openNeeds(loop)}
          more={{ text: "All alerts", href: "/alerts" }}
          rests={["Alertmanager", "Prometheus"]}
        >
          <Needs needs={loop.needs} />
        </Panel>
      </div>
      <div className="row">
        <Panel
          title="Drift by signal"
          meta={
            loop.heat.rows.length
              ? `${loop.heat.times.length} reports, underlined is over`
              : undefined
          }
          more={{ text: "Open drift", href: "/drift" }}
          rests={["Artifact store"]}
        >
          {loop.heat.rows.length ? (
            <HeatStrip heat={loop.heat} />
          ) : (
            <Empty title="No drift report yet.">
              Once a model has answered enough requests, the monitor job compares them with what it
              was trained on. <code className="mono">make demo</code> sends some.
            </Empty>
          )}
        </Panel>
        <Drifted pairs={loop.pairs} />
        <Panel
          title="Who did what"
          more={{ text: "Audit log", href: "/audit" }}
          rests={["Platform database"]}
        >
          <AuditList entries={loop.audit.slice(0, 6)} />
        </Panel>
      </div>
    </div>
  );
}

function openNeeds(loop: Loop): string | undefined {
  const open = loop.needs.filter((need) => need.level !== "ok").length;
  return open ? `${open} open` : undefined;
}

function TrafficPanel({ traffic }: { traffic: Traffic }) {
  if (traffic.versions.length === 0) {
    return (
      <Empty title="Nothing was asked in this time.">
        Send an image on the page “Try it”, or run <code className="mono">make demo</code> for a
        stream of requests.
      </Empty>
    );
  }
  return (
    <>
      <Suspense fallback={<Skeleton height={150} />}>
        <TrafficArea traffic={traffic} />
      </Suspense>
      <Scroll label="Live service numbers by model version">
        <table>
          <caption className="sr">Live service numbers by model version</caption>
          <thead>
            <tr>
              {[
                "Version",
                "Share",
                "Requests",
                "p50",
                "p95",
                "Errors",
                "Confidence",
                "Low conf.",
              ].map((name) => (
                <th scope="col" key={name}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {traffic.versions.map((each) => (
              <tr key={each.version + each.slot}>
                <td>
                  <i className="sw" style={{ background: slotColour(each.slot) }} />
                  {each.label} {words(each.slot).toLowerCase()}
                </td>
                <td>{percent(each.share)}</td>
                <td>{count(each.requests)}</td>
                <td>{milliseconds(each.p50)}</td>
                <td>{milliseconds(each.p95)}</td>
                <td>{percent(each.failures, 2)}</td>
                <td>{each.confidence === null ? "–" : each.confidence.toFixed(2)}</td>
                <td>{percent(each.low_confidence)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </>
  );
}

/** The page in its final sizes, while the loop is read. */
function Waiting() {
  return (
    <div className="overview" aria-busy="true">
      <h1>Reading the loop</h1>
      <p className="sub">Data, model, service, drift and retraining.</p>
      <div className="loop" />
      {[heatHeight(8), heatHeight(8)].map((height, index) => (
        <div className="row" key={index}>
          {[0, 1, 2].map((column) => (
            <div className="p" key={column}>
              <Skeleton height={height} />
            </div>
          ))}
        </div>
      ))}
    </div>
  );
}
