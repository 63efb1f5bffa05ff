import { Slider } from "@base-ui/react/slider";
import { useEffect, useRef, useState } from "react";
import { paintHeat } from "./paint";

interface Props {
  url: string;
  heat: number[][] | null;
}

const MOST = 420;

/** The image, and over it what the model looked at. */
export function HeatMap({ url, heat }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [image, setImage] = useState<HTMLImageElement | null>(null);
  const [opacity, setOpacity] = useState(55);
  useEffect(() => {
    const loaded = new Image();
    loaded.onload = () => setImage(loaded);
    loaded.src = url;
  }, [url]);
  useEffect(() => {
    const target = canvas.current;
    const pen = target?.getContext("2d");
    if (!target || !pen || !image) return;
    const scale = MOST / Math.max(image.naturalWidth, image.naturalHeight, 1);
    target.width = Math.max(1, Math.round(image.naturalWidth * scale));
    target.height = Math.max(1, Math.round(image.naturalHeight * scale));
    pen.imageSmoothingEnabled = scale < 4;
    pen.drawImage(image, 0, 0, target.width, target.height);
    if (heat?.length) paintHeat(pen, heat, opacity / 100, target.width, target.height);
  }, [image, heat, opacity]);
  return (
    <div className="heat-map">
      <canvas
        ref={canvas}
        width={MOST}
        height={MOST}
        role="img"
        aria-label={heat ? "The image under a map of what the model looked at" : "The image"}
      />
      <Slider.Root
        className="slider"
        value={opacity}
        onValueChange={(value) =>
          setOpacity(Array.isArray(value) ? (value[0] ?? 0) : (value as number))
        }
        min={0}
        max={100}
        step={5}
        disabled={!heat}
      >
        <Slider.Label className="note">Heat map, {opacity}%</Slider.Label>
        <Slider.Control className="slider-control">
          <Slider.Track className="slider-track">
            <Slider.Indicator className="slider-fill" />
            <Slider.Thumb className="slider-thumb" aria-label="Opacity of the heat map" />
          </Slider.Track>
        </Slider.Control>
      </Slider.Root>
    </div>
  );
}
