import type { DriftPair } from "../../api/types";
import { fixed } from "../../lib/format";
import { A } from "../../ui/A";
import { Empty } from "../../ui/States";
import { Tile } from "../../ui/Tile";
import "./pairs.css";

export function Pairs({ pairs }: { pairs: readonly DriftPair[] }) {
  if (pairs.length === 0) {
    return (
      <Empty title="No pairs.">
        Images of requests have to be kept for this; see the service's settings.
      </Empty>
    );
  }
  return (
    <ul className="pairs">
      {pairs.map((pair) => (
        <li key={pair.prediction_id}>
          <div className="pair">
            <A href={`/lineage/${encodeURIComponent(pair.nearest)}`}>
              <Tile sha={pair.nearest} alt={`Training image, ${pair.nearest_label}`} />
            </A>
            <A href={`/predictions/${encodeURIComponent(pair.prediction_id)}`}>
              <Tile sha={pair.image} alt={`Request image answered ${pair.label}`} />
            </A>
          </div>
          <div>
            {pair.nearest_label} <span className="dim">in training</span>
          </div>
          <div className={pair.label === pair.nearest_label ? "" : "warn"}>
            {pair.label} {fixed(pair.confidence)} <span className="dim">now</span>
          </div>
          <div className="dim">distance {fixed(pair.distance)}</div>
        </li>
      ))}
    </ul>
  );
}
