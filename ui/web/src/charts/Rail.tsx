import type { SlotView, Stage } from "../api/types";
import { share } from "../lib/format";
import { slotColour, slotInk, trafficShare } from "../lib/slots";
import { Glyph } from "../ui/Glyph";

const HEIGHT = 206;
const Y = 34;
const BOTTOM = 183;
const BEND = 20;
const SIDE = 28;

interface Props {
  width: number;
  stages: readonly Stage[];
  slots: readonly SlotView[];
  turn: string;
}

/** The loop as one line: what travels on the way from stage to stage, and the way back. */
export function Rail({ width, stages, slots, turn }: Props) {
  if (width === 0 || stages.length === 0) return null;
  const column = (width - 2 * SIDE) / stages.length;
  const x = (index: number) => SIDE + index * column + 8;
  const last = x(stages.length - 1);
  const left = 6;
  const right = width - 6;
  const said = `${stages.map((stage) => `${stage.title}: ${stage.status}`).join(". ")}. ${turn}`;
  const back =
    `M${last} ${Y}H${right - BEND}a${BEND} ${BEND} 0 0 1 ${BEND} ${BEND}V${BOTTOM - BEND}` +
    `a${BEND} ${BEND} 0 0 1 ${-BEND} ${BEND}H${left + BEND}a${BEND} ${BEND} 0 0 1 ${-BEND} ${-BEND}` +
    `V${Y + BEND}a${BEND} ${BEND} 0 0 1 ${BEND} ${-BEND}H${x(0)}`;
  const room = width - 2 * (left + BEND) - 24;
  const told = Math.min(turn.length * 5.85, room);
  return (
    <svg className="rail" width={width} height={HEIGHT} role="img" aria-label={said}>
      <path
        d={back}
        fill="none"
        stroke="var(--control)"
        strokeWidth="1.5"
        strokeDasharray="2 5"
        strokeLinecap="round"
      />
      {stages.slice(0, -1).map((stage, index) => (
        <Leg
          key={stage.key}
          stage={stage}
          next={stages[index + 1]!}
          from={x(index)}
          to={x(index + 1)}
          middle={x(index) + column / 2}
          slots={slots}
        />
      ))}
      {stages.map((stage, index) => (
        <g key={stage.key}>
          <circle cx={x(index)} cy={Y} r="13" fill="var(--band)" />
          <Glyph kind={stage.state} size={20} x={x(index) - 10} y={Y - 10} ground="var(--band)" />
        </g>
      ))}
      {turn ? (
        <>
          <rect
            x={width / 2 - told / 2 - 12}
            y={BOTTOM - 9}
            width={told + 24}
            height="18"
            fill="var(--band)"
          />
          <text x={width / 2} y={BOTTOM + 4} fontSize="12" textAnchor="middle" fill="var(--ink2)">
            {turn.length * 5.85 > room ? `${turn.slice(0, Math.floor(room / 5.85) - 1)}…` : turn}
          </text>
        </>
      ) : null}
      <g fill="none" stroke="var(--ink3)" strokeWidth="1.6">
        <path d={`M${left - 4} 114l4-6 4 6`} />
        <path d={`M${right - 4} 103l4 6 4-6`} />
      </g>
    </svg>
  );
}

function withShares(slots: readonly SlotView[]): SlotView[] {
  const shared = slots.map((slot) => ({ ...slot, weight: trafficShare(slots, slot) }));
  return shared.filter((slot) => slot.weight > 0);
}

interface LegProps {
  stage: Stage;
  next: Stage;
  from: number;
  to: number;
  middle: number;
  slots: readonly SlotView[];
}

function Leg({ stage, next, from, to, middle, slots }: LegProps) {
  const serving = stage.key === "service" ? withShares(slots) : [];
  if (serving.length > 0) return <Split from={from} to={to} slots={serving} />;
  const waits = next.state === "wait" || next.state === "idle";
  const quiet = stage.state === "idle";
  const stroke = quiet
    ? "var(--control)"
    : stage.state === "warn" || stage.state === "bad"
      ? "var(--warn-fill)"
      : waits
        ? "var(--control)"
        : "var(--canary)";
  const dashes = quiet ? "2 5" : waits ? "8 8" : undefined;
  const label = stage.token.length <= 6;
  return (
    <>
      <path
        className={waits && next.state === "wait" ? "flow" : undefined}
        d={`M${from} ${Y}H${to}`}
        fill="none"
        stroke={stroke}
        strokeWidth={quiet ? 1.5 : 3}
        strokeDasharray={dashes}
      />
      <text
        x={middle}
        y={Y - 9}
        fontSize="12"
        textAnchor="middle"
        fontWeight={label ? 600 : 400}
        fill={label ? "var(--canary-ink)" : "var(--ink2)"}
      >
        {stage.token}
      </text>
    </>
  );
}

/** Traffic between service and drift: the thickness is each version's part of it. */
function Split({ from, to, slots }: { from: number; to: number; slots: readonly SlotView[] }) {
  const sorted = [...slots].sort((a, b) => a.weight - b.weight);
  const big = sorted[sorted.length - 1]!;
  const small = sorted.length > 1 ? sorted[0] : undefined;
  const middle = from + (to - from) * 0.56;
  const thin = small ? 2 + Math.round(small.weight * 8) : 0;
  return (
    <>
      <path
        d={`M${from} ${Y + 1}H${to}`}
        stroke={slotColour(big.slot)}
        strokeWidth="11"
        fill="none"
      />
      <text
        x={middle}
        y={Y + 5}
        fontSize="11"
        fontWeight="600"
        textAnchor="middle"
        fill="var(--band)"
      >
        {share(big.weight)} {big.label}
      </text>
      {small ? (
        <>
          <path
            d={`M${from} ${Y - 4.5 - thin / 2}H${to}`}
            stroke={slotColour(small.slot)}
            strokeWidth={thin}
            fill="none"
          />
          <text
            x={middle}
            y={Y - 8 - thin}
            fontSize="12"
            fontWeight="600"
            textAnchor="middle"
            fill={slotInk(small.slot)}
          >
            {share(small.weight)} {small.label}
          </text>
        </>
      ) : null}
    </>
  );
}
