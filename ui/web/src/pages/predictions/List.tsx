import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import type { PredictionRow } from "../../api/types";
import { fixed, milliseconds, percent } from "../../lib/format";
import { slotColour } from "../../lib/slots";
import { Tile } from "../../ui/Tile";
import { Time } from "../../ui/Time";

const HEIGHT = 36;
const HEADS = [
  "Image",
  "Time",
  "Answer",
  "Confidence",
  "Label",
  "Model",
  "Latency",
  "Novelty",
  "Id",
];

interface Props {
  rows: readonly PredictionRow[];
  total: number;
  index: number;
  onSelect: (index: number) => void;
  onEnd: () => void;
}

/** All answers in one list; only rows in sight are drawn. */
export function List({ rows, total, index, onSelect, onEnd }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => HEIGHT,
    overscan: 12,
    paddingStart: 26,
    scrollPaddingStart: 26,
  });
  const shown = virtual.getVirtualItems();
  const last = shown[shown.length - 1]?.index ?? 0;

  useEffect(() => {
    if (rows.length > 0 && last >= rows.length - 40) onEnd();
  }, [last, rows.length, onEnd]);

  useEffect(() => {
    if (index >= 0 && index < rows.length) virtual.scrollToIndex(index, { align: "auto" });
  }, [index, rows.length, virtual]);

  return (
    // biome-ignore lint/a11y/useSemanticElements: rows are placed by hand, which a table element forbids
    <div
      className="grid"
      role="grid"
      tabIndex={0}
      ref={box}
      aria-label="Answers, newest first. J and K walk, Enter opens."
      aria-rowcount={total + 1}
      aria-colcount={HEADS.length}
      aria-activedescendant={
        index >= 0 && shown.some((item) => item.index === index) ? `row-${index}` : undefined
      }
    >
      {/* biome-ignore lint/a11y/useSemanticElements: as above */}
      {/* biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus and names its active row */}
      <div className="grid-row head" role="row" aria-rowindex={1}>
        {HEADS.map((name) => (
          // biome-ignore lint/a11y/useSemanticElements: as above
          // biome-ignore lint/a11y/useFocusableInteractive: as above
          <span role="columnheader" key={name}>
            {name}
          </span>
        ))}
      </div>
      <div
        className="grid-body"
        role="presentation"
        style={{ height: virtual.getTotalSize() - 26 }}
      >
        {shown.map((item) => (
          <Row
            key={item.key}
            row={rows[item.index]!}
            index={item.index}
            top={item.start - 26}
            chosen={item.index === index}
            onSelect={onSelect}
          />
        ))}
      </div>
    </div>
  );
}

interface RowProps {
  row: PredictionRow;
  index: number;
  top: number;
  chosen: boolean;
  onSelect: (index: number) => void;
}

function Row({ row, index, top, chosen, onSelect }: RowProps) {
  const wrong = row.truth !== null && row.truth !== row.label;
  const cells = [
    <Tile key="image" sha={row.image} kept={row.image_kept} alt="" />,
    <Time key="time" at={row.at} form="exact" />,
    <b key="answer">{row.label}</b>,
    <span key="confidence" className={row.confidence < 0.6 ? "warn" : ""}>
      {percent(row.confidence)}
    </span>,
    row.truth === null ? (
      <span key="truth" className="dim">
        –
      </span>
    ) : (
      <span key="truth" className={wrong ? "bad" : "ok"}>
        {wrong ? `✕ ${row.truth}` : "✓ right"}
      </span>
    ),
    <span key="model">
      <i className="sw" style={{ background: slotColour(row.slot) }} />
      {row.model}
    </span>,
    <span key="latency">{milliseconds(row.latency_ms)}</span>,
    <span key="novelty">{fixed(row.novelty)}</span>,
    <span key="id" className="mono dim">
      {row.id}
    </span>,
  ];
  return (
    // biome-ignore lint/a11y/useSemanticElements: rows are placed by hand
    // biome-ignore lint/a11y/useKeyWithClickEvents: the page handles the keys
    // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus
    <div
      className="grid-row"
      role="row"
      id={`row-${index}`}
      aria-rowindex={index + 2}
      aria-selected={chosen}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onSelect(index)}
    >
      {cells.map((cell) => (
        // biome-ignore lint/a11y/useSemanticElements: as above
        // biome-ignore lint/a11y/useFocusableInteractive: as above
        <span role="gridcell" key={cell.key}>
          {cell}
        </span>
      ))}
    </div>
  );
}
