import { useQuery } from "@tanstack/react-query";
import { alertsQuery } from "../api/queries";
import type { Alerts, AlertView } from "../api/types";
import { duration } from "../lib/format";
import { A } from "../ui/A";
import { Glyph, type GlyphKind } from "../ui/Glyph";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Panel } from "../ui/Panel";
import { Scroll } from "../ui/Scroll";
import { Empty } from "../ui/States";
import { Time } from "../ui/Time";

const GLYPHS: Record<AlertView["severity"], GlyphKind> = {
  critical: "bad",
  warning: "warn",
  info: "info",
};

export default function AlertsPage() {
  const alerts = useQuery(alertsQuery);
  return (
    <>
      <PageHead title="Alerts" sub="What is outside its limits, and what was." />
      <Load query={alerts} what="Alerts" height={420}>
        {(data) => <Whole data={data} />}
      </Load>
    </>
  );
}

const RANKS: Record<AlertView["severity"], number> = { critical: 0, warning: 1, info: 2 };

/** The most severe first, and the newest of those. */
export function bySeverity(alerts: readonly AlertView[]): AlertView[] {
  return [...alerts].sort(
    (a, b) =>
      RANKS[a.severity] - RANKS[b.severity] || Date.parse(b.started_at) - Date.parse(a.started_at),
  );
}

function Whole({ data }: { data: Alerts }) {
  const firing = bySeverity(data.alerts.filter((each) => each.state === "firing"));
  const resolved = data.alerts.filter((each) => each.state === "resolved");
  return (
    <>
      {data.routed ? null : (
        <p className="src">
          <Glyph kind="info" size={14} />
          <span>
            Alertmanager is not connected: these alerts are the console's own, and nobody is paged.
            docs/operations.md tells how to connect one.
          </span>
        </p>
      )}
      <div className="page-rows">
        <div className="row one">
          <Panel title="Firing" meta={String(firing.length)} rests={["Alertmanager"]}>
            {firing.length ? (
              <List alerts={firing} what="Firing alerts" />
            ) : (
              <Empty title="Nothing fires.">Everything that is watched is inside its limits.</Empty>
            )}
          </Panel>
        </div>
        <div className="row one">
          <Panel title="Resolved" meta={String(resolved.length)}>
            {resolved.length ? (
              <List alerts={resolved} what="Resolved alerts" />
            ) : (
              <Empty title="Nothing has been resolved lately.">
                Alerts that clear are listed here.
              </Empty>
            )}
          </Panel>
        </div>
      </div>
    </>
  );
}

/** Left out, or told in another column, where there is no room. */
const MINOR = new Set(["Summary", "For", "From"]);

function List({ alerts, what }: { alerts: readonly AlertView[]; what: string }) {
  return (
    <Scroll label={what}>
      <table className="list">
        <caption className="sr">{what}</caption>
        <thead>
          <tr>
            {["Severity", "Alert", "Summary", "Since", "For", "From", "Runbook"].map((name) => (
              <th scope="col" className={`left ${MINOR.has(name) ? "minor" : ""}`} key={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {alerts.map((alert) => (
            <tr key={alert.id}>
              <td>
                <span className="tag">
                  <Glyph
                    kind={alert.state === "resolved" ? "ok" : GLYPHS[alert.severity]}
                    size={12}
                  />
                  {alert.severity}
                </span>
              </td>
              <td className="left break">
                <b>{alert.name}</b>
                <div className="note narrow">{alert.summary}</div>
              </td>
              <td className="left wrap minor">{alert.summary}</td>
              <td className="left">
                <Time at={alert.started_at} />
              </td>
              <td className="left minor">
                {duration(
                  ((alert.ended_at ? Date.parse(alert.ended_at) : Date.now()) -
                    Date.parse(alert.started_at)) /
                    1000,
                )}
              </td>
              <td className="left dim minor">{alert.source}</td>
              <td className="left">
                <Runbook alert={alert} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** A runbook may be a page or a file of the repository; a file is named, for it has no address. */
function Runbook({ alert }: { alert: AlertView }) {
  if (!alert.runbook) return <span className="dim">none</span>;
  if (!/^(https?:\/\/|\/)/.test(alert.runbook))
    return <span className="mono">{alert.runbook}</span>;
  return (
    <A className="l" href={alert.runbook} aria-label={`Runbook of ${alert.name}`}>
      Runbook
    </A>
  );
}
