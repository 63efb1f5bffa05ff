import type { ModelDetail } from "../../api/types";
import { count, percent } from "../../lib/format";
import { useWidth } from "../../lib/useWidth";
import { LOOKS } from "./Compare";

const HEIGHT = 46;
const LABEL = 13;
/** The plot's edges in the chart above, so that bars stand under their points. */
const LEFT = 38;
const RIGHT = 12;

/** How many answers stand behind each point of the calibration curve. */
export function Counts({ models }: { models: readonly ModelDetail[] }) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const bins = models.flatMap((model, index) =>
    model.reliability.filter((bin) => bin.rows > 0).map((bin) => ({ bin, model, index })),
  );
  const most = Math.max(1, ...bins.map(({ bin }) => bin.rows));
  const wide = models.length > 1 ? 5 : 14;
  const x = (confidence: number) => LEFT + confidence * (width - LEFT - RIGHT);
  return (
    <div ref={ref} style={{ height: HEIGHT + 18 }}>
      {width ? (
        <svg
          width={width}
          height={HEIGHT + 18}
          role="img"
          aria-label={`Answers by confidence: ${bins
            .map(({ bin }) => `${count(bin.rows)} at ${percent(bin.confidence, 0)}`)
            .join(", ")}`}
        >
          {bins.map(({ bin, model, index }) => {
            const high = Math.max(1, (bin.rows / most) * (HEIGHT - LABEL));
            const at = x(bin.confidence) + (index - (models.length - 1) / 2) * (wide + 1);
            return (
              <g key={model.version + bin.confidence}>
                <title>{`${model.label}, ${percent(bin.confidence, 0)}: ${count(bin.rows)} answers`}</title>
                <rect
                  x={at - wide / 2}
                  y={HEIGHT - high}
                  width={wide}
                  height={high}
                  fill={LOOKS[index]?.colour}
                />
                {models.length === 1 ? (
                  <text
                    x={at}
                    y={HEIGHT - high - 3}
                    fontSize="11"
                    textAnchor="middle"
                    fill="var(--ink2)"
                  >
                    {count(bin.rows)}
                  </text>
                ) : null}
              </g>
            );
          })}
          <path d={`M${LEFT} ${HEIGHT}H${width - RIGHT}`} stroke="var(--rule2)" />
          <text
            x={LEFT + (width - LEFT - RIGHT) / 2}
            y={HEIGHT + 15}
            fontSize="12"
            textAnchor="middle"
            fill="var(--ink3)"
          >
            answers behind each point
          </text>
        </svg>
      ) : null}
    </div>
  );
}
