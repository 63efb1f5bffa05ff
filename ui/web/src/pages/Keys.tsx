import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { keysQuery } from "../api/queries";
import type { KeyView, MadeKey, NewKey } from "../api/types";
import { useMayNot } from "../lib/useMay";
import { useChange } from "../ui/change";
import { Glyph } from "../ui/Glyph";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Panel } from "../ui/Panel";
import { Scroll } from "../ui/Scroll";
import { Empty } from "../ui/States";
import { Time } from "../ui/Time";
import "./keys.css";

type Scope = NewKey["scopes"][number];
const SCOPES: readonly [Scope, string][] = [
  ["predict", "ask for answers"],
  ["explain", "ask why"],
  ["feedback", "send labels"],
  ["admin", "everything"],
];

export default function Keys() {
  const keys = useQuery(keysQuery);
  const mayNot = useMayNot("admin");
  const [made, setMade] = useState<MadeKey | null>(null);
  return (
    <>
      <PageHead
        title="Keys"
        sub={mayNot ?? "Who may call the service. A key's secret is shown once, when it is made."}
      />
      {made ? <Secret made={made} onClose={() => setMade(null)} /> : null}
      <Load query={keys} what="Keys" height={380}>
        {({ keys: rows, version }) => (
          <div className="page-rows">
            <div className="row wide">
              <Panel title="API keys" meta={String(rows.length)} rests={["Platform database"]}>
                {rows.length ? (
                  <Table rows={rows} />
                ) : (
                  <Empty title="There are no keys.">
                    Whether the service answers without one is set where it is configured. Make the
                    first key here.
                  </Empty>
                )}
              </Panel>
              <Panel title="New key">
                <Make seen={version} onMade={setMade} />
              </Panel>
            </div>
          </div>
        )}
      </Load>
    </>
  );
}

function Secret({ made, onClose }: { made: MadeKey; onClose: () => void }) {
  const [copied, setCopied] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(made.secret);
      setCopied("Copied.");
    } catch {
      setCopied("The browser forbids copying: select it and copy it by hand.");
    }
  };
  return (
    <section className="secret" aria-label="The new key's secret">
      <p>
        <b>{made.key.name}</b> is made. Copy its secret now: it is not shown again.
      </p>
      <code className="mono break">{made.secret}</code>
      <div className="acts">
        <button className="btn pri" type="button" onClick={() => void copy()}>
          Copy
        </button>
        <button className="btn" type="button" onClick={onClose}>
          I have it
        </button>
        <span className="note" role="status">
          {copied}
        </span>
      </div>
    </section>
  );
}

interface MakeProps {
  /** The version of the list of keys that is shown. */
  seen: string;
  onMade: (made: MadeKey) => void;
}

function Make({ seen, onMade }: MakeProps) {
  const ask = useChange();
  const mayNot = useMayNot("admin");
  const [name, setName] = useState("");
  const [days, setDays] = useState(90);
  const [scopes, setScopes] = useState<readonly Scope[]>(["predict"]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    ask({
      title: `Make a key for ${name.trim()}?`,
      what: (
        <p>
          Whoever holds its secret may{" "}
          {SCOPES.filter(([scope]) => scopes.includes(scope))
            .map(([, text]) => text)
            .join(", ")}
          , for {days} days.
        </p>
      ),
      confirm: "Make the key",
      path: "/keys",
      seen,
      body: { name: name.trim(), scopes, days },
      done: "The key is made.",
      onDone: (answer) => {
        onMade(answer as MadeKey);
        setName("");
      },
    });
  };
  const flip = (scope: Scope) =>
    setScopes(
      scopes.includes(scope) ? scopes.filter((each) => each !== scope) : [...scopes, scope],
    );
  return (
    <form className="launch" onSubmit={submit}>
      <label className="field">
        <span>Name: the program or the person</span>
        <input
          className="in"
          required
          maxLength={100}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
      </label>
      <fieldset className="scopes">
        <legend>May</legend>
        {SCOPES.map(([scope, text]) => (
          <label key={scope}>
            <input type="checkbox" checked={scopes.includes(scope)} onChange={() => flip(scope)} />{" "}
            <b>{scope}</b> <span className="dim">{text}</span>
          </label>
        ))}
      </fieldset>
      <label className="field">
        <span>Days until it expires</span>
        <input
          className="in"
          type="number"
          min={1}
          max={3650}
          required
          value={days}
          onChange={(event) => setDays(Number(event.target.value))}
        />
      </label>
      <div className="acts">
        <button
          className="btn pri"
          type="submit"
          disabled={Boolean(mayNot) || scopes.length === 0 || !name.trim()}
        >
          Make a key
        </button>
      </div>
    </form>
  );
}

function Table({ rows }: { rows: readonly KeyView[] }) {
  const ask = useChange();
  const mayNot = useMayNot("admin");
  const revoke = (key: KeyView) =>
    ask({
      title: `Revoke ${key.name}?`,
      what: (
        <p>
          Every request with this key is refused from now on. This cannot be undone; a new key can
          be made.
        </p>
      ),
      confirm: "Revoke",
      danger: true,
      path: `/keys/${encodeURIComponent(key.id)}/revoke`,
      seen: key.version,
      done: `${key.name} is revoked.`,
    });
  return (
    <Scroll label="API keys">
      <table className="list">
        <caption className="sr">API keys</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" className="left">
              May
            </th>
            <th scope="col" className="left">
              State
            </th>
            <th scope="col">Made</th>
            <th scope="col">Expires</th>
            <th scope="col">
              <span className="sr">Revoke</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((key) => {
            const expired = key.expires_at !== null && Date.parse(key.expires_at) < Date.now();
            return (
              <tr key={key.id}>
                <td>
                  <b>{key.name}</b> <span className="mono dim">{key.id}</span>
                </td>
                <td className="left">{key.scopes.join(", ")}</td>
                <td className="left">
                  <span className="tag">
                    <Glyph kind={key.revoked ? "bad" : expired ? "warn" : "ok"} size={12} />
                    {key.revoked ? "revoked" : expired ? "expired" : "good"}
                  </span>
                </td>
                <td>
                  <Time at={key.created_at} form="short" />
                </td>
                <td>{key.expires_at ? <Time at={key.expires_at} form="short" /> : "never"}</td>
                <td>
                  <button
                    className="btn sm danger"
                    type="button"
                    disabled={Boolean(mayNot) || key.revoked}
                    aria-label={`Revoke ${key.name}`}
                    onClick={() => revoke(key)}
                  >
                    Revoke
                  </button>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}
