import type { ModelDetail } from "../../api/types";
import { Scroll } from "../../ui/Scroll";

/** How many images of a class (row) got which answer (column). */
export function Confusion({ model }: { model: ModelDetail }) {
  if (model.confusion.length === 0)
    return <p className="note">{model.label} has no confusion matrix.</p>;
  return (
    <Scroll label={`${model.label}`}>
      <table className="confusion">
        <caption>{model.label}</caption>
        <thead>
          <tr>
            <th scope="col">
              <span className="sr">Truth</span>
            </th>
            {model.classes.map((name) => (
              <th scope="col" key={name} title={name}>
                <span>{name}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {model.confusion.map((row, truth) => {
            const total = row.reduce((sum, value) => sum + value, 0) || 1;
            return (
              <tr key={model.classes[truth] ?? truth}>
                <th scope="row">{model.classes[truth] ?? truth}</th>
                {row.map((value, answer) => {
                  const part = value / total;
                  const right = truth === answer;
                  const colour = right ? "var(--canary)" : "var(--warn-fill)";
                  const depth = right ? part * 36 : Math.min(50, part * 260);
                  return (
                    <td
                      key={model.classes[answer] ?? answer}
                      className={value ? "" : "dim"}
                      style={{
                        background: `color-mix(in srgb, ${colour} ${depth.toFixed(1)}%, transparent)`,
                      }}
                      title={`${model.classes[truth]} answered ${model.classes[answer]}: ${value} of ${total}`}
                    >
                      {value}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}
