import { Graph, layout } from "@dagrejs/dagre";
import type { LineageGraph } from "../../api/types";

export const WIDE = 164;
export const HIGH = 50;

/** Left to right, what was made on the right of what it was made from. */
export function places(graph: LineageGraph): Map<string, { x: number; y: number }> {
  const drawn = new Graph();
  drawn.setGraph({ rankdir: "LR", nodesep: 16, ranksep: 22 });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) drawn.setNode(node.id, { width: WIDE, height: HIGH });
  for (const edge of graph.edges) {
    if (drawn.hasNode(edge.source) && drawn.hasNode(edge.target))
      drawn.setEdge(edge.source, edge.target);
  }
  layout(drawn);
  return new Map(
    graph.nodes.map((node) => {
      const at = drawn.node(node.id) as { x: number; y: number };
      return [node.id, { x: at.x - WIDE / 2, y: at.y - HIGH / 2 }];
    }),
  );
}
