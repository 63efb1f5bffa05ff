import { useQuery } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { type FormEvent, useDeferredValue, useState } from "react";
import { findQuery } from "../api/queries";
import { A } from "../ui/A";
import { PageHead } from "../ui/PageHead";
import { Empty } from "../ui/States";

export default function LineageSearch() {
  const router = useRouter();
  const [text, setText] = useState("");
  const wanted = useDeferredValue(text.trim());
  const found = useQuery(findQuery(wanted));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim()) router.history.push(`/lineage/${encodeURIComponent(text.trim())}`);
  };
  return (
    <>
      <PageHead
        title="Lineage"
        sub="Where an answer, an image, a model or a file came from, and what came of it."
      />
      <form className="filters" onSubmit={submit}>
        <label className="field grow">
          <span>Id or hash: an answer, an image, a model version, an artifact</span>
          <input
            className="in"
            type="search"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        </label>
        <button className="btn pri" type="submit" disabled={!text.trim()}>
          Trace
        </button>
      </form>
      {wanted && found.data?.length ? (
        <ul className="todo">
          {found.data.map((part) => (
            <li key={part.href}>
              <span />
              <A className="l" href={part.href}>
                {part.text}
              </A>
            </li>
          ))}
        </ul>
      ) : (
        <Empty title="Nothing chosen yet.">
          Open any answer on{" "}
          <A className="l" href="/predictions">
            Predictions
          </A>{" "}
          and follow “Lineage”, or{" "}
          <A className="l" href="/try">
            try an image
          </A>{" "}
          and walk back from its answer.
        </Empty>
      )}
    </>
  );
}
