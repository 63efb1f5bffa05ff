import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { post } from "../../api/client";
import type { Explanation, PredictionDetail } from "../../api/types";
import { fixed, milliseconds, percent } from "../../lib/format";
import { A } from "../../ui/A";
import { Bars } from "../../ui/Bars";
import { Neighbours } from "../../ui/Neighbours";
import { errorText } from "../../ui/States";
import { Answer } from "../predictions/Detail";
import { HeatMap } from "./HeatMap";

interface Props {
  detail: PredictionDetail;
  blob: Blob;
  url: string;
}

export function Result({ detail, blob, url }: Props) {
  const [label, setLabel] = useState(detail.label);
  const why = useQuery({
    queryKey: ["explanation", detail.id, label],
    queryFn: () => post<Explanation>(`/try/explain?target=${encodeURIComponent(label)}`, blob),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  const classes = Object.entries(detail.probabilities)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 5);
  return (
    <div className="result">
      <div>
        <HeatMap url={url} heat={why.data?.heat ?? null} />
        <p className="note" role="status">
          {why.isError
            ? `No heat map: ${errorText(why.error)}`
            : why.data
              ? `${why.data.method} on ${why.data.model} for ${why.data.label}, ${fixed(why.data.seconds)} s`
              : "Computing the heat map…"}
        </p>
        <label className="field why-class">
          <span>Why this class</span>
          <select className="in" value={label} onChange={(event) => setLabel(event.target.value)}>
            {classes.map(([name, value]) => (
              <option key={name} value={name}>
                {name}, {percent(value)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div className="detail">
        <Answer detail={detail} />
        <p className="note">
          {detail.model} {detail.slot}, {milliseconds(detail.latency_ms)}
          {detail.cached ? ", from the cache" : ""}
        </p>
        <Bars values={detail.probabilities} top={5} />
        <section>
          <h3>Nearest training images</h3>
          <Neighbours nearest={detail.nearest} />
        </section>
        <section>
          <h3>Walk back from this answer</h3>
          <Chain detail={detail} />
        </section>
      </div>
    </div>
  );
}

/** Every link leads to the lineage of one thing that this answer was made of. */
function Chain({ detail }: { detail: PredictionDetail }) {
  const nearest = detail.nearest[0];
  const links: [string, string][] = [
    ["answer", `/lineage/${encodeURIComponent(detail.id)}`],
    ["image", `/lineage/${encodeURIComponent(detail.image)}`],
    [`model ${detail.model}`, `/lineage/${encodeURIComponent(detail.version)}`],
  ];
  if (nearest)
    links.push(["nearest training image", `/lineage/${encodeURIComponent(nearest.image)}`]);
  return (
    <ol className="walk">
      {links.map(([text, href]) => (
        <li key={text}>
          <A className="btn sm" href={href}>
            {text}
          </A>
        </li>
      ))}
    </ol>
  );
}
