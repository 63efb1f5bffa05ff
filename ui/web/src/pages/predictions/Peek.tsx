import { useQuery } from "@tanstack/react-query";
import { predictionQuery } from "../../api/queries";
import { Failure, Skeleton } from "../../ui/States";
import { Tile } from "../../ui/Tile";
import { Detail } from "./Detail";

interface Props {
  id: string;
  onClose: () => void;
}

/** One answer beside the list; J and K walk on without leaving it. */
export function Peek({ id, onClose }: Props) {
  const found = useQuery(predictionQuery(id));
  return (
    <aside className="peek" aria-label={`Answer ${id}`}>
      <header>
        <h2 className="h mono break">{id}</h2>
        <button className="btn sm" type="button" onClick={onClose}>
          Close <kbd>Esc</kbd>
        </button>
      </header>
      {found.data ? (
        <>
          <div className="peek-image">
            <Tile
              sha={found.data.image}
              kept={found.data.image_kept}
              alt={`Image of answer ${id}`}
              lazy={false}
            />
          </div>
          <Detail detail={found.data} />
        </>
      ) : found.isError ? (
        <Failure error={found.error} what="The answer" retry={() => void found.refetch()} />
      ) : (
        <Skeleton height={520} />
      )}
    </aside>
  );
}
