import type { LineageNode } from "../../api/types";

const PATHS: Record<LineageNode["kind"], string> = {
  prediction: "M2 8a6 6 0 1 0 12 0A6 6 0 1 0 2 8M6 8l1.500 2L10.500 6",
  image: "M2 3h12v10H2zM2.500 12l4-4 3 2.500 2-1.500 2.500 2.500",
  artifact: "M3 2h7l3 3v9H3zM10 2v3h3",
  model: "M8 1.500 14 5v6l-6 3.500L2 11V5zM2 5l6 3 6-3M8 8v6.500",
};

/** What sort of thing it is, by shape. */
export function KindIcon({ kind }: { kind: LineageNode["kind"] }) {
  return (
    <svg className="kind" width="16" height="16" viewBox="0 0 16 16" role="img" aria-label={kind}>
      <path
        d={PATHS[kind]}
        fill="none"
        stroke="currentColor"
        strokeWidth="1.3"
        strokeLinejoin="round"
      />
    </svg>
  );
}
