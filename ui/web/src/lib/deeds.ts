const PAST: Record<string, string> = {
  judge: "judged the rollout",
  release: "released a model",
  promote: "promoted the challenger",
  advance: "advanced the rollout",
  hold: "held the rollout",
  rollback: "rolled back",
  launch: "launched a job",
  label: "labelled an image",
};

/** A reason in the room of a list: the verdicts of a judgement without their intervals. */
export function briefly(reason: string): string {
  return reason.replace(/: [-+]?[\d.]+ to [-+]?[\d.]+, margin [\d.]+: /g, " ");
}

/** What somebody did, as a part of a sentence; words that are not known stay as they are. */
export function deed(action: string): string {
  return PAST[action] ?? action.replace(/_/g, " ");
}
