import type { DriftPair } from "../../api/types";
import { fixed } from "../../lib/format";
import { A } from "../../ui/A";
import { Panel } from "../../ui/Panel";
import { Empty } from "../../ui/States";
import { Tile } from "../../ui/Tile";

/** Images of requests under their nearest reference images, column by column. */
export function Drifted({ pairs }: { pairs: readonly DriftPair[] }) {
  const shown = pairs.slice(0, 5);
  return (
    <Panel
      title="What drifted"
      rests={["Artifact store"]}
      meta={shown.length ? "nearest pairs" : undefined}
      more={{ text: "All pairs", href: "/drift" }}
    >
      {shown.length === 0 ? (
        <Empty title="No pairs to show.">
          Pairs appear once images of requests are kept and a drift report has been made.
        </Empty>
      ) : (
        <>
          <p className="lab">In training</p>
          <div className="shots">
            {shown.map((pair) => (
              <figure key={pair.prediction_id}>
                <Tile
                  sha={pair.nearest}
                  alt={`Training image, ${pair.nearest_label}`}
                  lazy={false}
                />
                <figcaption>{pair.nearest_label}</figcaption>
              </figure>
            ))}
          </div>
          <p className="lab">In the window, answer and confidence</p>
          <div className="shots">
            {shown.map((pair) => (
              <figure key={pair.prediction_id}>
                <A href={`/predictions/${encodeURIComponent(pair.prediction_id)}`}>
                  <Tile
                    sha={pair.image}
                    alt={`Request image answered ${pair.label}`}
                    lazy={false}
                  />
                </A>
                <figcaption title={`${pair.label} ${fixed(pair.confidence)}`}>
                  {pair.label === pair.nearest_label ? (
                    pair.label
                  ) : (
                    <b className="warn">{pair.label}</b>
                  )}
                  <br />
                  {fixed(pair.confidence)}
                </figcaption>
              </figure>
            ))}
          </div>
        </>
      )}
    </Panel>
  );
}
