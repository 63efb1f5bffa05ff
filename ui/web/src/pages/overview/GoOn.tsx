import type { Rollout } from "../../api/types";
import { Duel } from "../../charts/Duel";
import { Ladder } from "../../charts/Ladder";
import { count } from "../../lib/format";
import { candidate, inSlot, slotColour } from "../../lib/slots";
import { A } from "../../ui/A";
import { Panel } from "../../ui/Panel";
import { RolloutActions } from "../../ui/RolloutActions";
import { Empty } from "../../ui/States";

/** The one question of a rollout, with what speaks for and against. */
export function GoOn({ rollout }: { rollout: Rollout }) {
  const tried = candidate(rollout.slots);
  const champion = inSlot(rollout.slots, "champion");
  const rests = ["Platform database"];
  if (!tried) {
    return (
      <Panel title="Rollout" more={{ text: "Open rollout", href: "/rollout" }} rests={rests}>
        {champion ? (
          <>
            <Empty title={`${champion.label} answers everything.`}>
              The next model that passes its gate comes here and climbs the ladder.{" "}
              <A className="l" href="/automation">
                Start a retraining
              </A>
            </Empty>
            <RolloutActions rollout={rollout} />
          </>
        ) : (
          <Empty title="No model is released yet.">
            Run <code className="mono">make demo</code>: it takes in images, trains, checks and
            releases a first model.
          </Empty>
        )}
      </Panel>
    );
  }
  const answers = Math.max(0, ...rollout.findings.map((each) => each.challenger_of));
  return (
    <Panel
      title={`Should ${tried.label} go on?`}
      meta={`${count(answers)} ${tried.label} answers so far`}
      rests={rests}
    >
      <Ladder steps={rollout.ladder} />
      {rollout.findings.length ? (
        <Duel
          findings={rollout.findings}
          challenger={tried.label}
          champion={champion?.label ?? "champion"}
          colour={slotColour(tried.slot)}
        />
      ) : (
        <Empty title="Not judged yet.">
          {rollout.verdict_reason || "The first answers are being counted."}
        </Empty>
      )}
      <RolloutActions rollout={rollout} />
    </Panel>
  );
}
