import type { ModelDetail } from "../../api/types";
import { count, fixed, points } from "../../lib/format";
import { Scroll } from "../../ui/Scroll";
import { Empty } from "../../ui/States";
import { LOOKS } from "./Compare";

export function ClassScores({ models }: { models: readonly ModelDetail[] }) {
  const names = [...new Set(models.flatMap((model) => model.scores.map((score) => score.name)))];
  if (names.length === 0) return <Empty title="No scores by class." />;
  return (
    <Scroll label="F1 by class and version">
      <table>
        <caption className="sr">F1 by class and version</caption>
        <thead>
          <tr>
            <th scope="col">Class</th>
            <th scope="col">Images</th>
            {models.map((model) => (
              <th scope="col" key={model.version}>
                {model.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {names.map((name) => {
            const scores = models.map((model) => model.scores.find((score) => score.name === name));
            const best = Math.max(...scores.map((score) => score?.f1 ?? 0));
            return (
              <tr key={name}>
                <td>{name}</td>
                <td className="dim">{count(scores.find(Boolean)?.rows)}</td>
                {scores.map((score, index) => (
                  <td key={models[index]?.version}>
                    <span className="f1">
                      <span className="bar" aria-hidden="true">
                        <i
                          style={{
                            width: `${(score?.f1 ?? 0) * 100}%`,
                            background: LOOKS[index]?.colour,
                          }}
                        />
                      </span>
                      <span
                        className={score?.f1 === best && models.length > 1 ? "best" : ""}
                        title={
                          score
                            ? `precision ${fixed(score.precision, 3)}, recall ${fixed(score.recall, 3)}`
                            : ""
                        }
                      >
                        {fixed(score?.f1, 3)}
                      </span>
                    </span>
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

const WIDE = 120;

export function Slices({ models }: { models: readonly ModelDetail[] }) {
  const rows = models.flatMap((model, index) =>
    model.slices.map((slice) => ({ model, index, slice })),
  );
  if (rows.length === 0) {
    return (
      <Empty title="No comparison by slice.">
        A first model has no champion to be compared with.
      </Empty>
    );
  }
  const most =
    Math.max(
      0.001,
      ...rows.flatMap(({ slice }) => [Math.abs(slice.lower), Math.abs(slice.upper)]),
    ) * 1.1;
  const x = (value: number) => WIDE / 2 + (value / most) * (WIDE / 2);
  return (
    <Scroll label="Accuracy of candidate minus champion by slice">
      <table className="duel slices">
        <caption className="sr">Accuracy of candidate minus champion by slice</caption>
        <thead>
          <tr>
            <th scope="col">Slice</th>
            <th scope="col">
              <span className="ends">
                <span>worse</span>
                <span>better</span>
              </span>
            </th>
            <th scope="col">Change</th>
            <th scope="col">Interval</th>
            <th scope="col">Images</th>
            <th scope="col">Verdict</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ model, index, slice }) => (
            <tr key={`${model.version}-${slice.name}`}>
              <td title={slice.name}>
                {models.length > 1 ? <b>{model.label} </b> : null}
                {slice.name}
              </td>
              <td>
                <svg width={WIDE} height="20" aria-hidden="true">
                  <path d={`M${WIDE / 2} 1V19`} stroke="var(--ink3)" />
                  <path
                    d={`M${x(slice.lower)} 10H${x(slice.upper)}`}
                    stroke={LOOKS[index]?.colour}
                    strokeWidth="2"
                  />
                  <circle cx={x(slice.difference)} cy="10" r="4" fill={LOOKS[index]?.colour} />
                </svg>
              </td>
              <td>{points(slice.difference)}</td>
              <td>
                {points(slice.lower)} to {points(slice.upper)}
              </td>
              <td>{count(slice.rows)}</td>
              <td>{slice.verdict}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
