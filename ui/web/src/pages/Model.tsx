import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { modelQuery } from "../api/queries";
import { fixed, megabytes, percent, sentence, short } from "../lib/format";
import { A } from "../ui/A";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Panel } from "../ui/Panel";
import { Scroll } from "../ui/Scroll";
import { Time } from "../ui/Time";
import { Gate } from "./Models";
import { Compare } from "./models/Compare";

export default function Model() {
  const { version } = useParams({ from: "/shell/models/$version" });
  const model = useQuery(modelQuery(version));
  const name = model.data?.label ?? short(version);
  return (
    <>
      <PageHead
        title={`Model ${name}`}
        sub={sentence(model.data?.gate_reason ?? "") || "What its evaluation says."}
      >
        <div className="acts">
          <A className="btn" href={`/lineage/${encodeURIComponent(version)}`}>
            Lineage
          </A>
          <A className="btn" href="/models">
            All models
          </A>
        </div>
      </PageHead>
      <div className="page-rows">
        <div className="row one">
          <Panel title="Facts">
            <Load query={model} what="The model" height={110}>
              {(data) => (
                <Scroll label={`Facts of ${data.label}`}>
                  <table>
                    <caption className="sr">Facts of {data.label}</caption>
                    <thead>
                      <tr>
                        {[
                          "Network",
                          "Slot",
                          "Gate",
                          "Accuracy",
                          "Macro F1",
                          "Calibration error",
                          "Size",
                          "Dataset",
                          "Commit",
                          "Made",
                          "Elsewhere",
                        ].map((head) => (
                          <th scope="col" className="left" key={head}>
                            {head}
                          </th>
                        ))}
                      </tr>
                    </thead>
                    <tbody>
                      <tr>
                        <td className="left">{data.architecture}</td>
                        <td className="left">{data.slot || "none"}</td>
                        <td className="left">
                          <Gate gate={data.gate} />
                        </td>
                        <td className="left">{percent(data.accuracy)}</td>
                        <td className="left">{fixed(data.macro_f1, 3)}</td>
                        <td className="left">{fixed(data.ece, 3)}</td>
                        <td className="left">{megabytes(data.size_mb)}</td>
                        <td className="left mono" title={data.dataset}>
                          {short(data.dataset, 14)}
                        </td>
                        <td className="left mono" title={data.commit}>
                          {short(data.commit)}
                        </td>
                        <td className="left">
                          <Time at={data.created_at} />
                        </td>
                        <td className="left">
                          {data.mlflow_url ? (
                            <A className="l" href={data.mlflow_url}>
                              MLflow
                            </A>
                          ) : null}{" "}
                          {data.dagster_url ? (
                            <A className="l" href={data.dagster_url}>
                              Dagster
                            </A>
                          ) : null}
                        </td>
                      </tr>
                    </tbody>
                  </table>
                </Scroll>
              )}
            </Load>
          </Panel>
        </div>
        {model.isError ? null : <Compare versions={[version]} />}
      </div>
    </>
  );
}
