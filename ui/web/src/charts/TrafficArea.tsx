import { Area, AreaChart, ReferenceLine, Tooltip, XAxis, YAxis } from "recharts";
import type { Traffic } from "../api/types";
import { fixed } from "../lib/format";
import { slotColour, slotInk } from "../lib/slots";
import { clock, date } from "../lib/time";
import { useWidth } from "../lib/useWidth";
import { ChartTip } from "./ChartTip";
import { directLabels, markLabels, niceTop, stackedTops, timeTicks } from "./scale";

const HEIGHT = 150;
const TOP = 8;
const AXIS = 20;
const LEFT = 38;
// Room for the names of versions at the right; a model that passed no gate has a long one.
const RIGHT = 66;
const RIGHT_LONG = 90;
const SHORT = 4;

/** Requests a second, stacked by version, with what happened as marks. */
export default function TrafficArea({ traffic }: { traffic: Traffic }) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const labels = traffic.versions.map((version) => version.label);
  const rows = traffic.points.map((point) => ({ at: Date.parse(point.at), ...point.rates }));
  const tops = stackedTops(traffic.points, labels);
  const most = niceTop(Math.max(0, ...tops.total));
  const right = labels.some((label) => label.length > SHORT) ? RIGHT_LONG : RIGHT;
  const first = rows[0]?.at ?? 0;
  const last = rows[rows.length - 1]?.at ?? 0;
  const days = last - first > 2 * 86_400_000;
  const tick = (at: number) => (days ? date(new Date(at)) : clock(new Date(at)));
  const y = (value: number) => TOP + (HEIGHT - TOP - AXIS) * (1 - value / most);
  const ends = directLabels(
    traffic.versions.map((version, index) => ({
      text: `${version.label} ${fixed(traffic.points.at(-1)?.rates[version.label] ?? 0, 1)}`,
      colour: slotInk(version.slot),
      y: y(tops.last[index] ?? 0) + 4,
    })),
    15,
    y(0) + 2,
  );
  return (
    <div ref={ref} style={{ height: HEIGHT }}>
      {width ? (
        <AreaChart
          width={width}
          height={HEIGHT}
          data={rows}
          margin={{ top: TOP, right, bottom: 0, left: 0 }}
          accessibilityLayer={false}
          role="img"
          title={`Requests per second: ${ends.map((end) => end.text).join(", ")}`}
        >
          <XAxis
            dataKey="at"
            type="number"
            domain={[first, last]}
            ticks={timeTicks(first, last, width < 420 ? 3 : 4)}
            tickFormatter={tick}
            height={AXIS}
            axisLine={false}
            tickLine={false}
            tick={{ fontSize: 12, fill: "var(--ink3)" }}
            interval={0}
          />
          <YAxis
            width={LEFT}
            domain={[0, most]}
            ticks={[0, most / 2, most]}
            tickFormatter={(value: number) => String(Number(value.toPrecision(3)))}
            axisLine={false}
            tickLine={false}
            tick={{ fontSize: 12, fill: "var(--ink3)" }}
          />
          {[0, most / 2, most].map((value) => (
            <ReferenceLine key={value} y={value} stroke="var(--rule)" />
          ))}
          {traffic.versions.map((version, index) => (
            <Area
              key={version.version}
              dataKey={version.label}
              stackId="all"
              type="linear"
              stroke={slotColour(version.slot)}
              strokeWidth={1.8}
              fill={slotColour(version.slot)}
              fillOpacity={index === 0 ? 0.16 : 0.42}
              isAnimationActive={false}
              activeDot={false}
            />
          ))}
          {traffic.marks.map((mark) => (
            <ReferenceLine
              key={mark.at + mark.label}
              x={Date.parse(mark.at)}
              stroke="var(--ink3)"
              strokeDasharray="2 3"
            />
          ))}
          {markLabels(traffic.marks, first, last, LEFT, width - LEFT - right).map((mark) => (
            <text
              key={mark.at + mark.label}
              x={mark.x}
              y={TOP + 9 + mark.row * 14}
              fontSize="12"
              textAnchor={mark.anchor}
              fill="var(--ink2)"
              stroke="var(--ground)"
              strokeWidth="4"
              paintOrder="stroke"
            >
              {mark.label}
            </text>
          ))}
          <Tooltip
            isAnimationActive={false}
            content={<ChartTip unit="/s" digits={1} />}
            cursor={{ stroke: "var(--ink3)" }}
          />
          {ends.map((end) => (
            <text
              key={end.text}
              x={width - right + 8}
              y={end.y}
              fontSize="12"
              fontWeight="600"
              fill={end.colour}
            >
              {end.text}
            </text>
          ))}
        </AreaChart>
      ) : null}
    </div>
  );
}
