import { Graph, layout } from "@dagrejs/dagre";
import type { LineageGraph } from "../../api/types";

export const WIDE = 164;
export const HIGH = 50;

/** At this zoom the smallest text, 12.5 px, is still 11 px high. */
export const LEAST_ZOOM = 0.9;
const MOST_ZOOM = 1.1;
const MARGIN = 24;

export interface View {
  x: number;
  y: number;
  zoom: number;
  /** Whether there is more than is in sight. */
  cut: boolean;
}

/** How high a canvas is that shows the whole graph as high as it is, within reason. */
export function canvasHeight(at: ReadonlyMap<string, { y: number }>): number {
  const bottom = Math.max(0, ...[...at.values()].map((each) => each.y + HIGH));
  return Math.round(Math.min(560, Math.max(220, bottom + 2 * MARGIN + 40)));
}

/** The whole graph where its text stays readable; else it begins at what was asked for. */
export function startView(
  at: ReadonlyMap<string, { x: number; y: number }>,
  root: { x: number; y: number } | undefined,
  width: number,
  height: number,
): View {
  const right = Math.max(1, ...[...at.values()].map((each) => each.x + WIDE));
  const bottom = Math.max(1, ...[...at.values()].map((each) => each.y + HIGH));
  const fits = Math.min((width - 2 * MARGIN) / right, (height - 2 * MARGIN) / bottom);
  const zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, fits));
  const along = (size: number, room: number, middle: number) =>
    size * zoom + 2 * MARGIN <= room
      ? (room - size * zoom) / 2
      : Math.min(MARGIN, Math.max(room - MARGIN - size * zoom, room / 2 - middle * zoom));
  return {
    x: along(right, width, (root?.x ?? 0) + WIDE / 2),
    y: along(bottom, height, (root?.y ?? 0) + HIGH / 2),
    zoom,
    cut: fits < LEAST_ZOOM,
  };
}

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
