import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { predictionQuery } from "../api/queries";
import { A } from "../ui/A";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Tile } from "../ui/Tile";
import { Detail } from "./predictions/Detail";
import "./predictions/predictions.css";

export default function Prediction() {
  const { id } = useParams({ from: "/shell/predictions/$id" });
  const found = useQuery(predictionQuery(id));
  return (
    <>
      <PageHead
        title={`Answer ${id}`}
        sub="What was asked, what was answered, and what that rests on."
      >
        <A className="btn" href="/predictions">
          All predictions
        </A>
      </PageHead>
      <Load query={found} what="The answer" height={560}>
        {(detail) => (
          <div className="one-answer">
            <div>
              <Tile
                sha={detail.image}
                kept={detail.image_kept}
                alt={`Image of answer ${id}`}
                lazy={false}
              />
            </div>
            <div>
              <h2 className="sr">What was answered</h2>
              <Detail detail={detail} />
            </div>
          </div>
        )}
      </Load>
    </>
  );
}
