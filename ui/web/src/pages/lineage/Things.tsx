import type { LineageGraph, LineageNode } from "../../api/types";
import { factText } from "../../lib/facts";
import { short } from "../../lib/format";
import { A } from "../../ui/A";
import { KindIcon } from "./KindIcon";

interface Props {
  graph: LineageGraph;
  chosen: string | undefined;
  onChoose: (id: string) => void;
}

/** An artifact is found by its version; its id names the asset too. */
function bare(id: string): string {
  return id.slice(id.lastIndexOf("/") + 1);
}

function place(rank: number): string {
  if (rank === 0) return "asked for";
  return rank < 0 ? `${-rank} back` : `${rank} on`;
}

/** The graph as a list, for reading and for the keyboard. */
export function Things({ graph, chosen, onChoose }: Props) {
  const nodes = [...graph.nodes].sort((a, b) => a.rank - b.rank);
  return (
    <ul className="things">
      {nodes.map((node) => (
        <li key={node.id}>
          <button type="button" aria-pressed={node.id === chosen} onClick={() => onChoose(node.id)}>
            <KindIcon kind={node.kind} />
            <span>
              <b>{node.title}</b> <span className="mut">{node.subtitle}</span>
            </span>
            <span className="dim nowrap">{place(node.rank)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

export function ThingFacts({ node }: { node: LineageNode }) {
  return (
    <>
      <p className="mut">{node.subtitle}</p>
      <dl className="facts">
        <dt>Id</dt>
        <dd className="mono" title={node.id}>
          {short(node.id, 20)}
        </dd>
        {Object.entries(node.facts).map(([name, value]) => (
          <div className="pair-row" key={name}>
            <dt>{name}</dt>
            <dd title={value}>{factText(value)}</dd>
          </div>
        ))}
      </dl>
      <div className="acts">
        {node.rank === 0 ? null : (
          <A className="btn sm" href={`/lineage/${encodeURIComponent(bare(node.id))}`}>
            Trace from here
          </A>
        )}
        {node.links.map((link) => (
          <A className="btn sm" key={link.href + link.text} href={link.href}>
            {link.text}
          </A>
        ))}
      </div>
    </>
  );
}
