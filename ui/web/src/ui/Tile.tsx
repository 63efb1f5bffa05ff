import { useState } from "react";
import { imageUrl } from "../api/client";

interface Props {
  sha: string;
  alt: string;
  /** Whether the image may be loaded late, when it scrolls into view. */
  lazy?: boolean;
  kept?: boolean;
}

/** From here on pixels are shown as such: smoothed, a small image looks out of focus. */
const ENLARGED = 1.5;

/** A square image; a placeholder where the image was not kept. */
export function Tile({ sha, alt, lazy = true, kept = true }: Props) {
  const [gone, setGone] = useState("");
  const [coarse, setCoarse] = useState(false);
  if (!sha || !kept || gone === sha) {
    return (
      <span className="tile" role="img" aria-label={`${alt}, image not kept`}>
        <span className="gone" aria-hidden="true">
          not kept
        </span>
      </span>
    );
  }
  return (
    <span className="tile">
      <img
        src={imageUrl(sha)}
        alt={alt}
        loading={lazy ? "lazy" : "eager"}
        decoding="async"
        width={64}
        height={64}
        className={coarse ? "coarse" : undefined}
        onLoad={({ currentTarget: image }) =>
          setCoarse(image.naturalWidth * ENLARGED < image.clientWidth)
        }
        onError={() => setGone(sha)}
      />
    </span>
  );
}
