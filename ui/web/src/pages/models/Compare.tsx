import { useQueries } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { modelQuery } from "../../api/queries";
import type { ModelDetail } from "../../api/types";
import type { Series } from "../../charts/Lines";
import { countTicks } from "../../charts/scale";
import { Panel } from "../../ui/Panel";
import { Empty, Failure, Skeleton } from "../../ui/States";
import { Confusion } from "./Confusion";
import { Counts } from "./Counts";
import { ClassScores, Slices } from "./Scores";
import "./models.css";

const Lines = lazy(() => import("../../charts/Lines"));

/** A place in the comparison has its own colour and its own dashes. */
export const LOOKS: readonly Omit<Series, "name">[] = [
  { colour: "var(--champion)" },
  { colour: "var(--canary)", dash: "7 3" },
  { colour: "var(--shadow)", dash: "2 3" },
  { colour: "var(--previous)", dash: "9 3 2 3" },
];

export function Compare({ versions }: { versions: readonly string[] }) {
  const found = useQueries({ queries: versions.map((version) => modelQuery(version)) });
  const failed = found.find((each) => each.isError);
  const models = found.flatMap((each) => (each.data ? [each.data] : []));
  if (failed && models.length === 0) return <Failure error={failed.error} what="A model" />;
  if (found.some((each) => each.isPending)) return <Skeleton height={700} />;
  return (
    <>
      {failed ? <Failure error={failed.error} what="A model" /> : null}
      <div className="row two">
        <Panel
          title="Calibration"
          meta="how often an answer of some confidence is right; dotted is perfect"
        >
          <Reliability models={models} />
        </Panel>
        <Panel title="Training" meta="accuracy on validation images, by epoch">
          <Curve models={models} />
        </Panel>
      </div>
      <div className="row two">
        <Panel title="F1 by class">
          <ClassScores models={models} />
        </Panel>
        <Panel title="Slices" meta="candidate minus champion of its gate, accuracy">
          <Slices models={models} />
        </Panel>
      </div>
      <div className="row one">
        <Panel title="Confusion" meta="rows: truth, columns: answer; warm is wrong">
          <div className="confusions">
            {models.map((model) => (
              <Confusion key={model.version} model={model} />
            ))}
          </div>
        </Panel>
      </div>
    </>
  );
}

export function Legend({ models }: { models: readonly ModelDetail[] }) {
  return (
    <ul className="legend">
      {models.map((model, index) => (
        <li key={model.version}>
          <svg width="26" height="8" aria-hidden="true">
            <path
              d="M0 4H26"
              stroke={LOOKS[index]?.colour}
              strokeDasharray={LOOKS[index]?.dash}
              strokeWidth="2.4"
            />
          </svg>
          {model.label}
        </li>
      ))}
    </ul>
  );
}

function series(models: readonly ModelDetail[]): Series[] {
  return models.map((model, index) => ({ name: model.label, ...LOOKS[index]! }));
}

/** One row an x, one column a model, as the chart wants it. */
export function joined<T>(
  models: readonly ModelDetail[],
  points: (model: ModelDetail) => readonly T[],
  x: (point: T) => number,
  y: (point: T) => number | null,
): Record<string, number | null>[] {
  const rows = new Map<number, Record<string, number | null>>();
  for (const model of models) {
    for (const point of points(model)) {
      const at = x(point);
      const row = rows.get(at) ?? { x: at };
      row[model.label] = y(point);
      rows.set(at, row);
    }
  }
  return [...rows.values()].sort((a, b) => (a.x ?? 0) - (b.x ?? 0));
}

function Reliability({ models }: { models: readonly ModelDetail[] }) {
  const rows = joined(
    models,
    (model) => model.reliability.filter((bin) => bin.rows > 0),
    (bin) => bin.confidence,
    (bin) => bin.accuracy,
  );
  if (rows.length === 0) return <Empty title="Calibration was not measured." />;
  return (
    <>
      <Suspense fallback={<Skeleton height={220} />}>
        <Lines
          rows={rows}
          x="x"
          series={series(models).map((each) => ({ ...each, dots: true }))}
          said={`Accuracy by confidence of ${models.map((model) => model.label).join(", ")}`}
          height={220}
          xDomain={[0, 1]}
          yDomain={[0, 1]}
          xTicks={[0, 0.25, 0.5, 0.75, 1]}
          yTicks={[0, 0.25, 0.5, 0.75, 1]}
          xLabel="confidence"
          diagonal
        />
      </Suspense>
      <Counts models={models} />
      <Legend models={models} />
    </>
  );
}

function Curve({ models }: { models: readonly ModelDetail[] }) {
  const rows = joined(
    models,
    (model) => model.history,
    (epoch) => epoch.epoch,
    (epoch) => epoch.validation_accuracy,
  );
  if (rows.length === 0) return <Empty title="No training curve was kept." />;
  return (
    <>
      <Suspense fallback={<Skeleton height={220} />}>
        <Lines
          rows={rows}
          x="x"
          series={series(models)}
          said={`Validation accuracy by epoch of ${models.map((model) => model.label).join(", ")}`}
          height={220}
          yDomain={[0, 1]}
          xTicks={countTicks(Math.max(...rows.map((row) => row.x ?? 1)))}
          yTicks={[0, 0.25, 0.5, 0.75, 1]}
          xLabel="epoch"
          digits={3}
        />
      </Suspense>
      <Legend models={models} />
    </>
  );
}
