import type { Action, Rollout } from "../api/types";
import { stepName } from "../charts/Ladder";
import { candidate, inSlot } from "../lib/slots";
import { useMayNot } from "../lib/useMay";
import type { ChangeRequest } from "./ChangeDialog";
import { useChange } from "./change";

interface Deed {
  action: Action;
  text: string;
  look: string;
  what: string;
}

/** What can be done to a rollout, worded with the versions and steps that it is about. */
export function deeds(rollout: Rollout, all: boolean): Deed[] {
  const tried = candidate(rollout.slots);
  const champion = inSlot(rollout.slots, "champion");
  const name = tried?.label ?? "the challenger";
  const now = rollout.ladder.findIndex((step) => step.state === "now");
  const next = rollout.ladder.find((step, index) => index > now && step.state === "next");
  const last = !next || next.share >= 1;
  const to = next ? (next.step === "shadow" ? "shadow" : stepName(next)) : "all traffic";
  const back = tried ? champion : rollout.previous;
  const list: Deed[] = [];
  if (!last || !rollout.may.includes("promote")) {
    list.push({
      action: "advance",
      text: tried ? `Promote to ${to}` : "Advance",
      look: "pri",
      what:
        next?.step === "shadow"
          ? `${name} sees a copy of the traffic; nobody gets its answers.`
          : `${name} answers ${to} of the traffic from the next request on. ${champion?.label ?? "The champion"} answers the rest.`,
    });
  }
  if (last || all) {
    list.push({
      action: "promote",
      text: all && !last ? "Make champion now" : `Promote ${name} to champion`,
      look: last ? "pri" : "",
      what: `${name} answers all traffic and becomes champion. ${champion?.label ?? "The champion"} is kept as previous, ready to come back.`,
    });
  }
  list.push(
    {
      action: "hold",
      text: "Hold",
      look: "",
      what: `${name} stops at its step. It takes no more traffic, and nothing moves by itself, until somebody advances it.`,
    },
    {
      action: "rollback",
      text: back ? `Roll back to ${back.label}` : "Roll back",
      look: "danger back",
      what: tried
        ? `${back?.label ?? "The champion"} answers all traffic at once. ${name} is taken out.`
        : `${back?.label ?? "The previous champion"} becomes champion again and answers all traffic at once.`,
    },
  );
  return list;
}

export function RolloutActions({ rollout, all = false }: { rollout: Rollout; all?: boolean }) {
  const ask = useChange();
  const mayNot = useMayNot();
  const list = deeds(rollout, all);
  const request = (deed: Deed): ChangeRequest => ({
    title: `${deed.text}?`,
    what: <p>{deed.what}</p>,
    confirm: deed.text,
    danger: deed.action === "rollback",
    path: `/rollout/${deed.action}`,
    revision: rollout.revision,
    done: `${deed.text}: done.`,
  });
  return (
    <>
      <div className="acts">
        {list.map((deed) => (
          <button
            key={deed.action}
            type="button"
            className={`btn ${deed.look}`}
            disabled={Boolean(mayNot) || !rollout.may.includes(deed.action)}
            onClick={() => ask(request(deed))}
          >
            {deed.text}
          </button>
        ))}
      </div>
      {mayNot ? <p className="note">{mayNot}</p> : null}
      {!mayNot && !candidate(rollout.slots) ? (
        <p className="note">
          No newer model is being tried, so there is nothing to advance or to hold.
        </p>
      ) : null}
    </>
  );
}
