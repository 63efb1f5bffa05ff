import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Range } from "../api/types";
import { overviewSearch } from "../lib/url";

const RANGES: readonly [Range, string][] = [
  ["1h", "1 h"],
  ["24h", "24 h"],
  ["14d", "14 d"],
];

export function RangePicker() {
  const search = useSearch({ strict: false });
  const navigate = useNavigate();
  const now = overviewSearch(search).range ?? "1h";
  return (
    <fieldset className="seg">
      <legend className="sr">Time range</legend>
      {RANGES.map(([range, text]) => (
        <button
          key={range}
          type="button"
          aria-pressed={range === now}
          onClick={() =>
            void navigate({ to: "/", search: overviewSearch({ range }), replace: true })
          }
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}
