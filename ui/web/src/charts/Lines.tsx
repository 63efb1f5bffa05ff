import { Line, LineChart, ReferenceLine, Tooltip, XAxis, YAxis } from "recharts";
import { useWidth } from "../lib/useWidth";
import { ChartTip } from "./ChartTip";

export interface Series {
  name: string;
  colour: string;
  dash?: string;
  dots?: boolean;
}

interface Props {
  rows: readonly Record<string, number | null>[];
  x: string;
  series: readonly Series[];
  said: string;
  height?: number;
  xDomain?: [number, number];
  yDomain?: [number | "auto", number | "auto"];
  xLabel?: string;
  digits?: number;
  level?: { y: number; text: string } | undefined;
  diagonal?: boolean;
  xTick?: (value: number) => string;
  yTick?: (value: number) => string;
  xTicks?: number[];
  yTicks?: number[];
}

/** Lines over a number or a moment, in the console's own look. */
export default function Lines(props: Props) {
  const { rows, x, series, said, height = 200, digits = 2, level, diagonal } = props;
  const [ref, width] = useWidth<HTMLDivElement>();
  const tick = { fontSize: 12, fill: "var(--ink3)" };
  const format = props.xTick ?? String;
  return (
    <div ref={ref} style={{ height }}>
      {width ? (
        <LineChart
          width={width}
          height={height}
          data={rows as Record<string, number | null>[]}
          margin={{ top: 8, right: 12, bottom: 0, left: 0 }}
          accessibilityLayer={false}
          role="img"
          title={said}
        >
          <XAxis
            dataKey={x}
            type="number"
            domain={props.xDomain ?? ["dataMin", "dataMax"]}
            ticks={props.xTicks}
            tickFormatter={format}
            tick={tick}
            tickLine={false}
            axisLine={{ stroke: "var(--rule2)" }}
            height={props.xLabel ? 38 : 22}
            label={
              props.xLabel
                ? {
                    value: props.xLabel,
                    position: "insideBottom",
                    offset: 2,
                    fontSize: 12,
                    fill: "var(--ink3)",
                  }
                : undefined
            }
          />
          <YAxis
            width={38}
            domain={props.yDomain ?? ["auto", "auto"]}
            tick={tick}
            tickLine={false}
            axisLine={false}
            tickCount={4}
            ticks={props.yTicks}
            tickFormatter={props.yTick}
          />
          {diagonal ? (
            <ReferenceLine
              segment={[
                { x: 0, y: 0 },
                { x: 1, y: 1 },
              ]}
              stroke="var(--control)"
              strokeDasharray="2 4"
            />
          ) : null}
          {level ? (
            <ReferenceLine
              y={level.y}
              stroke="var(--warn)"
              strokeDasharray="6 4"
              label={{
                value: level.text,
                position: "insideBottomRight",
                fontSize: 12,
                fill: "var(--warn)",
              }}
            />
          ) : null}
          {series.map((each) => (
            <Line
              key={each.name}
              dataKey={each.name}
              stroke={each.colour}
              strokeWidth={1.8}
              strokeDasharray={each.dash}
              dot={each.dots ? { r: 2.5, fill: each.colour, strokeWidth: 0 } : false}
              isAnimationActive={false}
              connectNulls
            />
          ))}
          <Tooltip
            isAnimationActive={false}
            cursor={{ stroke: "var(--ink3)" }}
            content={<ChartTip digits={digits} place={(value) => format(Number(value))} />}
          />
        </LineChart>
      ) : null}
    </div>
  );
}
