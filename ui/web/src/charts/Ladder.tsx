import type { StepView } from "../api/types";
import { share } from "../lib/format";

const STATES: Record<StepView["state"], string> = { done: "", now: "now", next: "" };

export function stepName(step: StepView): string {
  if (step.step === "shadow") return "Shadow";
  return share(step.share);
}

/** The steps that a version climbs, from no traffic to all of it. */
export function Ladder({ steps }: { steps: readonly StepView[] }) {
  return (
    <ol
      className="ladder"
      style={{ gridTemplateColumns: `repeat(${Math.max(1, steps.length)}, 1fr)` }}
    >
      {steps.map((step) => (
        <li
          key={step.step}
          className={step.state}
          title={step.state === "done" ? "done" : undefined}
          aria-current={step.state === "now" ? "step" : undefined}
        >
          <b>{stepName(step)}</b> {STATES[step.state]}
        </li>
      ))}
    </ol>
  );
}
