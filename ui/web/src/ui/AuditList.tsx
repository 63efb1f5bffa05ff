import type { AuditView } from "../api/types";
import { briefly, deed } from "../lib/deeds";
import { Empty } from "./States";
import { Time } from "./Time";

export function AuditList({ entries }: { entries: readonly AuditView[] }) {
  if (entries.length === 0) {
    return (
      <Empty title="Nobody did anything yet.">
        Every change is written down here, with its reason.
      </Empty>
    );
  }
  return (
    <ol className="log">
      {entries.map((entry) => (
        <li key={entry.id}>
          <Time at={entry.at} form="short" />
          <div className="clamp" title={entry.reason}>
            <b>{entry.actor}</b> {deed(entry.action)}
            {entry.effect ? `, ${entry.effect}` : ""}
            {entry.reason ? `: “${briefly(entry.reason)}”` : ""}
          </div>
        </li>
      ))}
    </ol>
  );
}
