import { when } from "../lib/time";
import "./chart.css";

interface Entry {
  name?: unknown;
  value?: unknown;
  color?: string | undefined;
}

interface Props {
  active?: boolean;
  payload?: readonly Entry[];
  label?: unknown;
  unit?: string;
  digits?: number;
  /** How the place on the axis is told; by default it is a moment. */
  place?: (label: unknown) => string;
}

export function ChartTip({ active, payload, label, unit = "", digits = 2, place }: Props) {
  if (!active || !payload?.length) return null;
  const where = place ? place(label) : when(new Date(Number(label)).toISOString());
  return (
    <div className="chart-tip">
      <div className="dim">{where}</div>
      {payload.map((entry) => (
        <div key={String(entry.name)}>
          <i className="sw" style={{ background: entry.color }} />
          {String(entry.name)}{" "}
          <b>
            {typeof entry.value === "number" ? entry.value.toFixed(digits) : "–"} {unit}
          </b>
        </div>
      ))}
    </div>
  );
}
