import type { NeighbourView } from "../api/types";
import { fixed } from "../lib/format";
import { A } from "./A";
import { Tile } from "./Tile";

/** The training images nearest to an answered one, as the model sees them. */
export function Neighbours({ nearest }: { nearest: readonly NeighbourView[] }) {
  if (nearest.length === 0) {
    return <p className="note">No nearest images: this model has no index of its training set.</p>;
  }
  return (
    <div className="shots">
      {nearest.slice(0, 10).map((each, index) => (
        <figure key={`${each.image}-${index}`}>
          <A href={`/lineage/${encodeURIComponent(each.image)}`}>
            <Tile sha={each.image} alt={`Training image, ${each.label}`} />
          </A>
          <figcaption title={each.proven ? "Its bytes match the dataset's record" : "Not proven"}>
            {each.label}
          </figcaption>
          <div className="note">
            {fixed(each.distance, 2)}
            {each.proven ? " proven" : ""}
          </div>
        </figure>
      ))}
    </div>
  );
}
