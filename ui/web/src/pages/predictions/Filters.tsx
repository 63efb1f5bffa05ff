import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { queueQuery } from "../../api/queries";
import { type PredictionFilters, predictionFilters } from "../../lib/url";

const LOW = ["0.5", "0.6", "0.7", "0.8", "0.9"];
const SLOTS = ["champion", "challenger", "shadow"];

/** What the list is narrowed to; all of it is in the address. */
export function Filters() {
  const search = useSearch({ from: "/shell/predictions" });
  const navigate = useNavigate({ from: "/predictions" });
  const classes = useQuery(queueQuery).data?.classes ?? [];
  const labels =
    search.label && !classes.includes(search.label) ? [search.label, ...classes] : classes;
  const set = (change: PredictionFilters) =>
    void navigate({ search: predictionFilters({ ...search, ...change }), replace: true });
  return (
    <search className="filters">
      <Words value={search.q ?? ""} onChange={(q) => set({ q })} />
      <Choice
        name="Answer"
        value={search.label ?? ""}
        all="Every class"
        onChange={(label) => set({ label })}
      >
        {labels.map((label) => [label, label])}
      </Choice>
      <Choice
        name="Slot"
        value={search.slot ?? ""}
        all="Every slot"
        onChange={(slot) => set({ slot })}
      >
        {SLOTS.map((slot) => [slot, slot])}
      </Choice>
      <Choice
        name="Confidence"
        value={search.max_confidence ?? ""}
        all="Any"
        onChange={(max_confidence) => set({ max_confidence })}
      >
        {LOW.map((low) => [low, `at most ${Number(low) * 100}%`])}
      </Choice>
      <button
        className="btn"
        type="button"
        disabled={Object.keys(predictionFilters({ ...search })).length === 0}
        onClick={() => void navigate({ search: {}, replace: true })}
      >
        Clear
      </button>
    </search>
  );
}

function Words({ value, onChange }: { value: string; onChange: (q: string) => void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text.trim() === value) return;
    const timer = setTimeout(() => onChange(text.trim()), 300);
    return () => clearTimeout(timer);
  });
  return (
    <label className="field grow">
      <span>Id, image, answer, caller or version</span>
      <input
        className="in"
        type="search"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
    </label>
  );
}

interface ChoiceProps {
  name: string;
  value: string;
  all: string;
  onChange: (value: string) => void;
  children: readonly [string, string][] | readonly string[][];
}

function Choice({ name, value, all, onChange, children }: ChoiceProps) {
  return (
    <label className="field">
      <span>{name}</span>
      <select className="in" value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{all}</option>
        {children.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
