import type { Heat, HeatRow } from "../api/types";
import { words } from "../lib/format";
import { heatLevel, isOver, labelledColumns } from "../lib/heat";
import { clock, date, when } from "../lib/time";
import { useWidth } from "../lib/useWidth";

const ROW = 22;
const STEP = ROW + 1.5;

/** How tall the strip is, so that its place can be kept while it loads. */
export function heatHeight(rows: number): number {
  return Math.ceil(rows * STEP) + 22;
}

/** A signal a row, a report a column; what is over its limit is warm and underlined. */
export function HeatStrip({ heat }: { heat: Heat }) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const height = heatHeight(heat.rows.length);
  const over = heat.rows.filter((row) => row.over).map((row) => words(row.name));
  const said =
    `${heat.measure} of ${heat.rows.length} signals over ${heat.times.length} reports. ` +
    (over.length ? `Over the limit now: ${over.join(", ")}.` : "All are inside their limits now.");
  return (
    <div ref={ref} style={{ height }}>
      {width ? <Drawing heat={heat} width={width} height={height} said={said} /> : null}
    </div>
  );
}

interface DrawingProps {
  heat: Heat;
  width: number;
  height: number;
  said: string;
}

function Drawing({ heat, width, height, said }: DrawingProps) {
  const narrow = width < 420;
  const longest = Math.max(0, ...heat.rows.map((row) => row.name.length));
  const left = Math.min(narrow ? 112 : 180, Math.max(80, longest * 6.9 + 12));
  const right = narrow ? 80 : 92;
  const cell = (width - left - right) / Math.max(1, heat.times.length);
  const gap = cell > 4 ? 1.2 : 0.4;
  const span = Date.parse(heat.times.at(-1) ?? "") - Date.parse(heat.times[0] ?? "");
  const label = (at: string) => (span < 2 * 86_400_000 ? clock : date)(new Date(at));
  const columns = labelledColumns(
    heat.times.length,
    Math.max(1, Math.floor((width - left - right) / 76)),
  );
  const dates = columns
    .map((column) => ({ column, text: label(heat.times[column]!) }))
    .filter(({ text }, index, all) => text !== all[index - 1]?.text);
  return (
    <svg width={width} height={height} role="img" aria-label={said}>
      {heat.rows.map((row, index) => (
        <Signal
          key={row.name}
          row={row}
          times={heat.times}
          y={index * STEP}
          geometry={{ left, cell, gap, width, letters: Math.floor((left - 8) / 6.7) }}
        />
      ))}
      {dates.map(({ column, text }) => (
        <text key={column} x={left + column * cell} y={height - 4} fontSize="12" fill="var(--ink3)">
          {text}
        </text>
      ))}
      <text x={width - 46} y={height - 4} fontSize="12" fill="var(--ink3)" textAnchor="end">
        now
      </text>
      <text x={width} y={height - 4} fontSize="12" fill="var(--ink3)" textAnchor="end">
        limit
      </text>
    </svg>
  );
}

interface SignalProps {
  row: HeatRow;
  times: readonly string[];
  y: number;
  geometry: { left: number; cell: number; gap: number; width: number; letters: number };
}

function Signal({ row, times, y, geometry }: SignalProps) {
  const { left, cell, gap, width, letters } = geometry;
  const weight = row.over ? 600 : 400;
  const name = words(row.name);
  const digits = row.limit < 0.1 ? 3 : 2;
  return (
    <g>
      <text
        x="0"
        y={y + 15}
        fontSize="12"
        fontWeight={weight}
        fill={row.over ? "var(--ink)" : "var(--ink2)"}
      >
        {name.length > letters ? `${name.slice(0, letters - 1)}…` : name}
        <title>{name}</title>
      </text>
      {row.cells.map((value, index) => {
        const x = left + index * cell;
        const wide = Math.max(0.5, cell - gap);
        const at = times[index] ? when(times[index]) : "";
        if (value === null) {
          return <path key={index} d={`M${x} ${y + ROW / 2}h${wide}`} stroke="var(--rule2)" />;
        }
        return (
          <g key={index}>
            <title>{`${name}, ${at}: ${value.toFixed(2)} of its limit`}</title>
            <rect x={x} y={y} width={wide} height={ROW} fill={`var(--h${heatLevel(value)})`} />
            {isOver(value) ? (
              <rect x={x} y={y + ROW - 3} width={wide} height="3" fill="var(--ink)" />
            ) : null}
          </g>
        );
      })}
      <text
        x={width - 46}
        y={y + 15}
        fontSize="12"
        textAnchor="end"
        fontWeight={weight}
        fill={row.over ? "var(--warn)" : "var(--ink)"}
      >
        {row.value === null ? "–" : row.value.toFixed(digits)}
      </text>
      <text x={width} y={y + 15} fontSize="12" textAnchor="end" fill="var(--ink3)">
        {row.limit.toFixed(digits)}
      </text>
    </g>
  );
}
