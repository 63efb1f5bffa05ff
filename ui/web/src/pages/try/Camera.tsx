import { useEffect, useRef, useState } from "react";
import { errorText } from "../../ui/States";

/** Browsers give a camera to secure pages only. */
export function hasCamera(): boolean {
  return typeof navigator !== "undefined" && Boolean(navigator.mediaDevices?.getUserMedia);
}

interface Props {
  onTake: (blob: Blob) => void;
  onClose: () => void;
}

export function Camera({ onTake, onClose }: Props) {
  const video = useRef<HTMLVideoElement>(null);
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    let stream: MediaStream | undefined;
    let left = false;
    navigator.mediaDevices
      .getUserMedia({ video: { facingMode: "environment" } })
      .then((got) => {
        stream = got;
        if (left) for (const track of got.getTracks()) track.stop();
        else if (video.current) video.current.srcObject = got;
      })
      .catch((error: unknown) => setWrong(errorText(error)));
    return () => {
      left = true;
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
  }, []);
  const shoot = () => {
    const from = video.current;
    if (!from?.videoWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = from.videoWidth;
    canvas.height = from.videoHeight;
    canvas.getContext("2d")?.drawImage(from, 0, 0);
    canvas.toBlob((blob) => blob && onTake(blob), "image/jpeg", 0.92);
  };
  return (
    <div className="camera">
      {wrong ? (
        <p className="bad" role="alert">
          The camera cannot be used: {wrong}
        </p>
      ) : (
        <video ref={video} autoPlay playsInline muted aria-label="Picture of the camera" />
      )}
      <div className="acts">
        <button className="btn pri" type="button" disabled={Boolean(wrong)} onClick={shoot}>
          Take the picture
        </button>
        <button className="btn" type="button" onClick={onClose}>
          Close the camera
        </button>
      </div>
    </div>
  );
}
