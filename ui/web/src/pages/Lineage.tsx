import { useMutation, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { post } from "../api/client";
import { lineageQuery } from "../api/queries";
import type { LineageGraph, Verified } from "../api/types";
import { factText } from "../lib/facts";
import { fixed, plural, short } from "../lib/format";
import { Glyph } from "../ui/Glyph";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Panel } from "../ui/Panel";
import { Empty, Failure, Skeleton } from "../ui/States";
import { Tile } from "../ui/Tile";
import { ThingFacts, Things } from "./lineage/Things";
import "./lineage/lineage.css";

const Graph = lazy(() => import("./lineage/Graph"));

export default function Lineage() {
  const { id } = useParams({ from: "/shell/lineage/$id" });
  const found = useQuery(lineageQuery(id));
  return (
    <>
      <PageHead
        title={found.data?.title || `Lineage of ${short(id, 16)}`}
        sub={
          found.data
            ? `${found.data.nodes.length} things, ${found.data.edges.length} steps`
            : "Reading the lineage."
        }
      />
      <Load query={found} what="The lineage" height={640}>
        {(graph) => <Whole key={id} graph={graph} />}
      </Load>
    </>
  );
}

function Whole({ graph }: { graph: LineageGraph }) {
  const [chosen, setChosen] = useState<string | undefined>(
    graph.nodes.find((node) => node.rank === 0)?.id,
  );
  const node = graph.nodes.find((each) => each.id === chosen);
  return (
    <div className="page-rows">
      <div className="row one">
        <section className="p" aria-label="Graph">
          {graph.nodes.length ? (
            <Suspense fallback={<Skeleton height={380} />}>
              <Graph graph={graph} chosen={chosen} onChoose={setChosen} />
            </Suspense>
          ) : (
            <Empty title="Nothing is known about it.">
              It may have been made before lineage was written down.
            </Empty>
          )}
        </section>
      </div>
      <div className="row">
        <Panel title="Things in order" meta="the same as the graph, as a list">
          <Things graph={graph} chosen={chosen} onChoose={setChosen} />
        </Panel>
        <Panel title={node ? node.title : "Nothing chosen"} meta={node?.kind}>
          {node ? (
            <ThingFacts node={node} />
          ) : (
            <Empty title="Choose a thing in the graph or the list." />
          )}
        </Panel>
        <Panel title="Receipt">
          <Receipt graph={graph} />
        </Panel>
      </div>
    </div>
  );
}

function Receipt({ graph }: { graph: LineageGraph }) {
  const verify = useMutation({
    mutationFn: () => post<Verified>(`/verify/${encodeURIComponent(graph.id)}`, {}),
  });
  return (
    <>
      {graph.image ? (
        <div className="receipt-image">
          <Tile sha={graph.image} alt={`Image of ${graph.title}`} />
        </div>
      ) : null}
      <dl className="facts">
        {Object.entries(graph.facts).map(([name, value]) => (
          <div className="pair-row" key={name}>
            <dt>{name}</dt>
            <dd title={value}>{factText(value)}</dd>
          </div>
        ))}
      </dl>
      {graph.receipt ? (
        <details>
          <summary className="l">Whole receipt</summary>
          <pre className="mono receipt">{JSON.stringify(graph.receipt, null, 2)}</pre>
        </details>
      ) : (
        <p className="note">There is no receipt for this.</p>
      )}
      <div className="acts">
        <button
          className="btn pri"
          type="button"
          disabled={verify.isPending}
          onClick={() => verify.mutate()}
        >
          {verify.isPending ? "Verifying…" : "Verify"}
        </button>
      </div>
      <div aria-live="polite">
        {verify.error ? <Failure error={verify.error} what="" /> : null}
        {verify.data ? <Result result={verify.data} /> : null}
      </div>
    </>
  );
}

function Result({ result }: { result: Verified }) {
  return (
    <ul className="todo verify">
      <li>
        <Glyph kind={result.whole ? "ok" : "bad"} />
        <b>
          {result.whole ? "All that was checked is whole" : "Something does not match"}, in{" "}
          {fixed(result.seconds)} s
        </b>
      </li>
      {result.lines.map((line) => (
        <li key={line.what}>
          <Glyph kind={line.problems.length ? "bad" : "ok"} />
          <div>
            {line.what}
            <span>
              {plural(line.things, "thing")}, {plural(line.files, "file")}
            </span>
            {line.problems.map((problem) => (
              <span className="bad" key={problem}>
                {problem}
              </span>
            ))}
          </div>
        </li>
      ))}
    </ul>
  );
}
