import type { AccuracyView, ClassView } from "../../api/types";
import { count, percent, points, words } from "../../lib/format";
import { Scroll } from "../../ui/Scroll";
import { Empty } from "../../ui/States";

const WIDE = 110;

export function Accuracy({ rows }: { rows: readonly AccuracyView[] }) {
  if (rows.length === 0) {
    return (
      <Empty title="Accuracy is not known.">
        Labels from the queue, or an estimate without labels, tell it.
      </Empty>
    );
  }
  const low = Math.min(...rows.map((row) => row.lower ?? row.accuracy));
  const high = Math.max(...rows.map((row) => row.upper ?? row.accuracy));
  const pad = Math.max(0.01, (high - low) * 0.15);
  const x = (value: number) => 4 + ((value - low + pad) / (high - low + 2 * pad)) * (WIDE - 8);
  return (
    <Scroll label="Accuracy, told in different ways, with intervals">
      <table className="list">
        <caption className="sr">Accuracy, told in different ways, with intervals</caption>
        <thead>
          <tr>
            <th scope="col">How it is told</th>
            <th scope="col">Accuracy</th>
            <th scope="col">Interval</th>
            <th scope="col">
              <span className="sr">Drawing</span>
            </th>
            <th scope="col">Rows</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.how}>
              <td className="how">{words(row.how)}</td>
              <td>{percent(row.accuracy)}</td>
              <td>
                {row.lower === null || row.upper === null
                  ? "–"
                  : `${percent(row.lower)} to ${percent(row.upper)}`}
              </td>
              <td>
                <svg width={WIDE} height="18" aria-hidden="true">
                  <path d={`M0 9H${WIDE}`} stroke="var(--rule)" />
                  {row.lower !== null && row.upper !== null ? (
                    <path
                      d={`M${x(row.lower)} 9H${x(row.upper)}`}
                      stroke="var(--champion)"
                      strokeWidth="2"
                    />
                  ) : null}
                  <circle cx={x(row.accuracy)} cy="9" r="4" fill="var(--champion)" />
                </svg>
              </td>
              <td>{count(row.rows)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

export function Classes({ rows }: { rows: readonly ClassView[] }) {
  if (rows.length === 0) return <Empty title="No classes in this report." />;
  const most = Math.max(0.01, ...rows.flatMap((row) => [row.reference, row.production]));
  return (
    <Scroll label="Each class's share of answers in the reference and now">
      <table>
        <caption className="sr">Each class's share of answers in the reference and now</caption>
        <thead>
          <tr>
            <th scope="col">Class</th>
            <th scope="col">
              <span className="sr">Drawing</span>
            </th>
            <th scope="col">Reference</th>
            <th scope="col">Now</th>
            <th scope="col">Change</th>
            <th scope="col">Accuracy</th>
            <th scope="col">Labels</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.name}>
              <td>{row.name}</td>
              <td>
                <svg width="110" height="16" aria-hidden="true">
                  <rect y="2" height="5" width={(row.reference / most) * 110} fill="var(--rule2)" />
                  <rect
                    y="8"
                    height="5"
                    width={(row.production / most) * 110}
                    fill="var(--champion)"
                  />
                </svg>
              </td>
              <td>{percent(row.reference)}</td>
              <td>{percent(row.production)}</td>
              <td>{points(row.production - row.reference)}</td>
              <td>{percent(row.accuracy)}</td>
              <td>{count(row.labels)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
