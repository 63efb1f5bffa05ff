import { percent } from "../lib/format";

/** Classes by probability, the likeliest first. */
export function Bars({ values, top = 10 }: { values: Record<string, number>; top?: number }) {
  const rows = Object.entries(values)
    .sort((a, b) => b[1] - a[1])
    .slice(0, top);
  return (
    <ol className="bars" aria-label="Probabilities by class">
      {rows.map(([name, value]) => (
        <li key={name}>
          <span className="break">{name}</span>
          <span className="bar" aria-hidden="true">
            <i style={{ width: `${Math.max(0.5, value * 100)}%` }} />
          </span>
          <span className="v">{percent(value)}</span>
        </li>
      ))}
    </ol>
  );
}
