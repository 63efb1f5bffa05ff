import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { modelsQuery } from "../api/queries";
import type { ModelRow } from "../api/types";
import { fixed, megabytes, percent } from "../lib/format";
import { slotColour } from "../lib/slots";
import { comparedVersions, MOST_COMPARED, toggleCompared } from "../lib/url";
import { A } from "../ui/A";
import { Glyph } from "../ui/Glyph";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Panel } from "../ui/Panel";
import { Scroll } from "../ui/Scroll";
import { Empty } from "../ui/States";
import { Time } from "../ui/Time";
import { Compare } from "./models/Compare";

export default function Models() {
  const models = useQuery(modelsQuery);
  const search = useSearch({ from: "/shell/models" });
  const chosen = comparedVersions(search);
  return (
    <>
      <PageHead
        title="Models"
        sub={`Every exported version. Choose up to ${MOST_COMPARED} to compare them.`}
      />
      <div className="page-rows">
        <div className="row one">
          <Panel
            title="Versions"
            rests={["Artifact store"]}
            meta={models.data ? String(models.data.length) : undefined}
          >
            <Load query={models} what="Models" height={420}>
              {(rows) =>
                rows.length ? (
                  <Table rows={rows} chosen={chosen} />
                ) : (
                  <Empty title="No model has been trained yet.">
                    Run <code className="mono">make demo</code>, or launch the job retrain on the
                    page{" "}
                    <A className="l" href="/automation">
                      Automation
                    </A>
                    . A version appears here once it is exported.
                  </Empty>
                )
              }
            </Load>
          </Panel>
        </div>
        {chosen.length && models.data ? <Compare versions={chosen} /> : null}
      </div>
    </>
  );
}

export function Gate({ gate }: { gate: string }) {
  const bad = /fail|reject|block|worse|refus/i.test(gate);
  const ok = /pass|accept|promote|first|ok/i.test(gate);
  return (
    <span className="tag">
      <Glyph kind={bad ? "bad" : ok ? "ok" : "idle"} size={12} />
      {gate || "none"}
    </span>
  );
}

function Table({ rows, chosen }: { rows: readonly ModelRow[]; chosen: readonly string[] }) {
  const search = useSearch({ from: "/shell/models" });
  const navigate = useNavigate({ from: "/models" });
  const full = chosen.length >= MOST_COMPARED;
  return (
    <Scroll label="Model versions">
      <table className="list">
        <caption className="sr">Model versions</caption>
        <thead>
          <tr>
            <th scope="col">Version</th>
            <th scope="col" className="left">
              Slot
            </th>
            <th scope="col" className="left">
              Gate
            </th>
            <th scope="col" className="left minor">
              Network
            </th>
            <th scope="col">Accuracy</th>
            <th scope="col" className="minor">
              Macro F1
            </th>
            <th scope="col" className="minor">
              Calibration error
            </th>
            <th scope="col" className="minor">
              Size
            </th>
            <th scope="col" className="minor">
              Made
            </th>
            <th scope="col" className="minor">
              Run
            </th>
            <th scope="col">Compare</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const name = chosen.includes(row.version) ? row.version : row.label;
            const on = chosen.includes(name);
            return (
              <tr key={row.version}>
                <td title={row.version}>
                  <A className="l" href={`/models/${encodeURIComponent(row.label)}`}>
                    <b>{row.label}</b>
                  </A>
                </td>
                <td className="left">
                  {row.slot ? (
                    <>
                      <i className="sw" style={{ background: slotColour(row.slot) }} />
                      {row.slot}
                    </>
                  ) : (
                    <span className="dim">none</span>
                  )}
                </td>
                <td className="left">
                  <Gate gate={row.gate} />
                </td>
                <td className="left minor">{row.architecture}</td>
                <td>{percent(row.accuracy)}</td>
                <td className="minor">{fixed(row.macro_f1, 3)}</td>
                <td className="minor">{fixed(row.ece, 3)}</td>
                <td className="minor">{megabytes(row.size_mb)}</td>
                <td className="minor">
                  <Time at={row.created_at} />
                </td>
                <td className="minor">
                  {row.mlflow_url ? (
                    <A
                      className="l"
                      href={row.mlflow_url}
                      aria-label={`Run of ${row.label} in MLflow`}
                    >
                      MLflow
                    </A>
                  ) : (
                    <span className="dim">none</span>
                  )}
                </td>
                <td>
                  <input
                    type="checkbox"
                    aria-label={`Compare ${row.label}`}
                    checked={on}
                    disabled={!on && full}
                    onChange={() =>
                      void navigate({
                        search: toggleCompared(search, name),
                        replace: true,
                        resetScroll: false,
                      })
                    }
                  />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}
