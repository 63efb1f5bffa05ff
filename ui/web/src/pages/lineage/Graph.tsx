import {
  Background,
  Controls,
  type Edge,
  Handle,
  MarkerType,
  type Node,
  type NodeProps,
  Position,
  ReactFlow,
} from "@xyflow/react";
import { useMemo } from "react";
import type { LineageGraph, LineageNode } from "../../api/types";
import { currentTheme } from "../../lib/theme";
import { useWidth } from "../../lib/useWidth";
import { KindIcon } from "./KindIcon";
import { canvasHeight, HIGH, places, startView, WIDE } from "./layout";
import "@xyflow/react/dist/base.css";
import "./graph.css";

type Thing = Node<{ node: LineageNode; chosen: boolean }, "thing">;

const TYPES = { thing: ThingNode };

function ThingNode({ data: { node, chosen } }: NodeProps<Thing>) {
  return (
    <div className={`thing ${node.rank === 0 ? "root" : ""} ${chosen ? "chosen" : ""}`}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <KindIcon kind={node.kind} />
      <span>
        <b>{node.title}</b>
        <small>{node.subtitle}</small>
      </span>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}

interface Props {
  graph: LineageGraph;
  chosen: string | undefined;
  onChoose: (id: string) => void;
}

export default function Graph({ graph, chosen, onChoose }: Props) {
  const at = useMemo(() => places(graph), [graph]);
  const [box, width] = useWidth<HTMLDivElement>();
  const height = canvasHeight(at);
  const root = graph.nodes.find((node) => node.rank === 0);
  const view = startView(at, at.get(root?.id ?? ""), width, height);
  const nodes: Thing[] = graph.nodes.map((node) => ({
    id: node.id,
    type: "thing",
    position: at.get(node.id) ?? { x: 0, y: 0 },
    width: WIDE,
    height: HIGH,
    data: { node, chosen: node.id === chosen },
    ariaLabel: `${node.kind} ${node.title}, ${node.subtitle}`,
    draggable: false,
  }));
  const edges: Edge[] = graph.edges.map((edge) => ({
    id: `${edge.source}>${edge.target}`,
    source: edge.source,
    target: edge.target,
    markerEnd: { type: MarkerType.ArrowClosed, color: "var(--control)", width: 14, height: 14 },
    focusable: false,
    style: {
      stroke: edge.source === chosen || edge.target === chosen ? "var(--canary)" : "var(--control)",
      strokeWidth: edge.source === chosen || edge.target === chosen ? 2 : 1.3,
    },
  }));
  return (
    <>
      <div className="graph" ref={box} style={{ height }}>
        {width ? (
          <ReactFlow
            nodes={nodes}
            edges={edges}
            nodeTypes={TYPES}
            onNodeClick={(_, node) => onChoose(node.id)}
            onSelectionChange={({ nodes: [first] }) => first && onChoose(first.id)}
            defaultViewport={view}
            minZoom={0.2}
            maxZoom={2}
            nodesDraggable={false}
            nodesConnectable={false}
            deleteKeyCode={null}
            colorMode={currentTheme()}
            zoomOnScroll={false}
            preventScrolling={false}
          >
            <Background color="var(--rule)" gap={18} />
            <Controls showInteractive={false} />
          </ReactFlow>
        ) : null}
      </div>
      {view.cut ? (
        <p className="note more">
          There is more than fits: drag the drawing, or read it whole in the list below.
        </p>
      ) : null}
    </>
  );
}
