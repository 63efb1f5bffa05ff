import type { ErrorComponentProps } from "@tanstack/react-router";
import { A } from "../ui/A";
import { Empty, errorText } from "../ui/States";

/** One page failed; the rest of the console goes on. */
export function Crash({ error, reset }: ErrorComponentProps) {
  return (
    <>
      <h1>This page stopped</h1>
      <Empty title={errorText(error)}>
        <p>The rest of the console works. After an update of the server, a reload is needed.</p>
        <div className="acts">
          <button className="btn pri" type="button" onClick={() => window.location.reload()}>
            Reload
          </button>
          <button className="btn" type="button" onClick={reset}>
            Try again
          </button>
        </div>
      </Empty>
    </>
  );
}

export function NotFound() {
  return (
    <main>
      <h1>There is no such page</h1>
      <Empty title="The address may be old.">
        <A className="l" href="/">
          Go to the overview
        </A>
      </Empty>
    </main>
  );
}
