import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { auditQuery, rolloutQuery } from "../api/queries";
import type { Rollout } from "../api/types";
import { Duel } from "../charts/Duel";
import { Ladder } from "../charts/Ladder";
import { share, short, words } from "../lib/format";
import { candidate, inSlot, slotColour, trafficShare } from "../lib/slots";
import { A } from "../ui/A";
import { AuditList } from "../ui/AuditList";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Panel } from "../ui/Panel";
import { RolloutActions } from "../ui/RolloutActions";
import { Scroll } from "../ui/Scroll";
import { Empty } from "../ui/States";
import { Time } from "../ui/Time";
import "../styles/duel.css";

const RESTS = ["Platform database"];
const ABOUT = /rollout|promot|roll|held|hold|advance|moved|release|judge|champion|challenger/i;

export default function RolloutPage() {
  const rollout = useQuery(rolloutQuery);
  return (
    <>
      <PageHead
        title="Rollout"
        sub={rollout.data ? sentence(rollout.data) : "Reading the state of serving."}
      />
      <Load query={rollout} what="The rollout" height={640}>
        {(data) => <Whole rollout={data} />}
      </Load>
    </>
  );
}

function Whole({ rollout }: { rollout: Rollout }) {
  const tried = candidate(rollout.slots);
  return (
    <div className="page-rows">
      <div className="row wide">
        <Panel title={tried ? `Should ${tried.label} go on?` : "Judgement"} rests={RESTS}>
          <Judgement rollout={rollout} />
        </Panel>
        <Panel title="Slots" meta={`revision ${rollout.revision}`} rests={RESTS}>
          <Slots rollout={rollout} />
        </Panel>
      </div>
      <div className="row one">
        <Panel title="History" more={{ text: "Audit log", href: "/audit" }}>
          <History />
        </Panel>
      </div>
    </div>
  );
}

function sentence(rollout: Rollout): string {
  const tried = candidate(rollout.slots);
  const champion = inSlot(rollout.slots, "champion");
  if (!champion) return "No model is released yet.";
  if (!tried) return `${champion.label} answers everything.`;
  const by = rollout.automatic
    ? "It moves by itself when every metric holds."
    : "It moves when somebody moves it.";
  const does =
    tried.slot === "shadow"
      ? "sees a copy of the traffic"
      : `answers ${share(tried.weight)} of the traffic`;
  return `${tried.label} ${does} beside ${champion.label}. ${by}`;
}

function Judgement({ rollout }: { rollout: Rollout }) {
  const tried = candidate(rollout.slots);
  const champion = inSlot(rollout.slots, "champion");
  if (!champion) {
    return (
      <Empty title="No model is released yet.">
        Run <code className="mono">make demo</code>: it trains, checks and releases a first model.
      </Empty>
    );
  }
  return (
    <>
      <Ladder steps={rollout.ladder} />
      {tried && rollout.findings.length ? (
        <Duel
          findings={rollout.findings}
          challenger={tried.label}
          champion={champion.label}
          colour={slotColour(tried.slot)}
          full
        />
      ) : (
        <Empty title={tried ? "Not judged yet." : "Nothing is being tried."}>
          {tried
            ? "The judgement starts once both versions have answered enough requests."
            : "The next model that passes its gate comes here by itself. "}
          {tried ? null : (
            <A className="l" href="/automation">
              Start a retraining
            </A>
          )}
        </Empty>
      )}
      {rollout.verdict ? (
        <p className="verdict">
          <b>{words(rollout.verdict)}.</b> {rollout.verdict_reason}
          {rollout.judged_at ? (
            <>
              {" "}
              Judged at <Time at={rollout.judged_at} />.
            </>
          ) : null}
        </p>
      ) : null}
      <RolloutActions rollout={rollout} all />
    </>
  );
}

function Slots({ rollout }: { rollout: Rollout }) {
  const slots = rollout.previous ? [...rollout.slots, rollout.previous] : rollout.slots;
  if (slots.length === 0) return <Empty title="No slot is filled." />;
  return (
    <>
      <Scroll label="Model versions by slot">
        <table className="list">
          <caption className="sr">Model versions by slot</caption>
          <thead>
            <tr>
              <th scope="col">Slot</th>
              <th scope="col">Version</th>
              <th scope="col">Traffic</th>
            </tr>
          </thead>
          <tbody>
            {slots.map((slot) => (
              <tr key={slot.slot + slot.version}>
                <td>
                  <i className="sw" style={{ background: slotColour(slot.slot) }} />
                  {slot.slot}
                </td>
                <td>
                  <A className="l" href={`/models/${encodeURIComponent(slot.version)}`}>
                    {slot.label}
                  </A>{" "}
                  <span className="mono dim" title={slot.version}>
                    {short(slot.version)}
                  </span>
                </td>
                <td>
                  {slot === rollout.previous
                    ? "kept"
                    : slot.slot === "shadow"
                      ? "a copy"
                      : share(trafficShare(rollout.slots, slot))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <p className="note">
        Last change{rollout.changed_at ? " at " : ""}
        {rollout.changed_at ? <Time at={rollout.changed_at} /> : null}
        {rollout.reason ? `: “${rollout.reason}”` : ""}
      </p>
    </>
  );
}

function History() {
  const audit = useInfiniteQuery(auditQuery);
  const entries = audit.data?.pages.flatMap((page) => page.entries) ?? [];
  const about = entries.filter((entry) => ABOUT.test(entry.action)).slice(0, 12);
  if (audit.isPending) return <div className="sk" style={{ height: 160 }} />;
  return <AuditList entries={about} />;
}
