import type { Need } from "../api/types";
import { A } from "./A";
import { Glyph } from "./Glyph";
import { Empty } from "./States";
import { Time } from "./Time";

export function Needs({ needs }: { needs: readonly Need[] }) {
  if (needs.length === 0) {
    return <Empty title="Nothing needs you.">What waits for a person will be listed here.</Empty>;
  }
  return (
    <ul className="todo">
      {needs.map((need) => (
        <li key={need.id}>
          <Glyph kind={need.level} />
          <div>
            <b>{need.title}</b>
            <span>
              {need.detail}
              {need.since ? (
                <>
                  {" "}
                  Since <Time at={need.since} />.
                </>
              ) : null}
            </span>
            {[need.runbook, need.link].map((part) =>
              part ? (
                <A key={part.href} className="l" href={part.href}>
                  {part.text}
                </A>
              ) : null,
            )}
          </div>
        </li>
      ))}
    </ul>
  );
}
