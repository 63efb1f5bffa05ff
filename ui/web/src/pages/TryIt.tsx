import { useMutation, useQuery } from "@tanstack/react-query";
import { type DragEvent, useEffect, useState } from "react";
import { ApiError, imageUrl, post } from "../api/client";
import { samplesQuery } from "../api/queries";
import type { PredictionDetail, Sample } from "../api/types";
import { useMayNot } from "../lib/useMay";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Panel } from "../ui/Panel";
import { Empty, Failure, Skeleton } from "../ui/States";
import { Tile } from "../ui/Tile";
import { Camera, hasCamera } from "./try/Camera";
import { Result } from "./try/Result";
import "./try/try.css";
import "./predictions/predictions.css";

const MOST_BYTES = 16 * 1024 * 1024;

export default function TryIt() {
  const samples = useQuery(samplesQuery);
  const mayNot = useMayNot();
  const [image, setImage] = useState<{ blob: Blob; url: string } | null>(null);
  const [camera, setCamera] = useState(false);
  const ask = useMutation({
    mutationFn: (blob: Blob) => post<PredictionDetail>("/try", blob),
  });
  useEffect(() => () => (image ? URL.revokeObjectURL(image.url) : undefined), [image]);

  const take = (blob: Blob) => {
    setCamera(false);
    setImage({ blob, url: URL.createObjectURL(blob) });
    ask.mutate(blob);
  };
  return (
    <>
      <PageHead
        title="Try it"
        sub={
          mayNot ??
          "Ask the models that serve about one image. The answer is real: it is journaled like any other."
        }
      />
      <div className="page-rows">
        <div className="row two try">
          <Panel title="An image">
            <Choose onTake={take} mayNot={mayNot} onCamera={() => setCamera(true)} />
            {camera ? <Camera onTake={take} onClose={() => setCamera(false)} /> : null}
            <h3 className="h samples-head">Or one of these, none of which was trained on</h3>
            <div className="samples-box">
              <Load query={samples} what="Samples" height={150}>
                {(rows) => <Samples rows={rows} onTake={take} mayNot={mayNot} />}
              </Load>
            </div>
          </Panel>
          <Panel title="The answer" rests={["Service", "BentoML"]}>
            <div aria-live="polite">
              {ask.isPending ? <Skeleton height={420} label="Asking the model" /> : null}
              {ask.error ? <Failure error={ask.error} what="" /> : null}
              {ask.data && image && !ask.isPending ? (
                <Result key={ask.data.id} detail={ask.data} blob={image.blob} url={image.url} />
              ) : null}
              {ask.isIdle ? (
                <Empty title="Nothing asked yet.">
                  Choose an image. Its answer comes with its probabilities, a heat map of what the
                  model looked at, the nearest training images, and its lineage.
                </Empty>
              ) : null}
            </div>
          </Panel>
        </div>
      </div>
    </>
  );
}

interface ChooseProps {
  onTake: (blob: Blob) => void;
  onCamera: () => void;
  mayNot: string | undefined;
}

function Choose({ onTake, onCamera, mayNot }: ChooseProps) {
  const [over, setOver] = useState(false);
  const [wrong, setWrong] = useState("");
  const offer = (file: File | undefined) => {
    if (!file || mayNot) return;
    if (!file.type.startsWith("image/")) return setWrong(`${file.name} is not an image.`);
    if (file.size > MOST_BYTES) return setWrong(`${file.name} has more than 16 MB.`);
    setWrong("");
    onTake(file);
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    offer(event.dataTransfer.files[0]);
  };
  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is an extra; the button inside does the same */}
      <div
        className={`drop ${over ? "over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={drop}
      >
        <p>Drop an image here, or</p>
        <div className="acts">
          <label className={`btn pri ${mayNot ? "off" : ""}`}>
            Choose a file
            <input
              className="sr"
              type="file"
              accept="image/*"
              disabled={Boolean(mayNot)}
              onChange={(event) => {
                offer(event.target.files?.[0]);
                event.target.value = "";
              }}
            />
          </label>
          {hasCamera() ? (
            <button className="btn" type="button" disabled={Boolean(mayNot)} onClick={onCamera}>
              Use the camera
            </button>
          ) : null}
        </div>
      </div>
      {wrong ? (
        <p className="bad" role="alert">
          {wrong}
        </p>
      ) : null}
    </>
  );
}

function Samples({
  rows,
  onTake,
  mayNot,
}: {
  rows: readonly Sample[];
  onTake: (blob: Blob) => void;
  mayNot: string | undefined;
}) {
  const fetchOne = useMutation({
    mutationFn: async (sha: string) => {
      const answer = await fetch(imageUrl(sha));
      if (!answer.ok)
        throw new ApiError(answer.status, "Not there", "The sample is not there any more.");
      return answer.blob();
    },
    onSuccess: onTake,
  });
  if (rows.length === 0) {
    return (
      <Empty title="No samples.">
        Held-out images appear once a dataset has been made: <code className="mono">make demo</code>
        .
      </Empty>
    );
  }
  return (
    <>
      <div className="samples">
        {rows.map((sample) => (
          <button
            key={sample.image}
            type="button"
            disabled={Boolean(mayNot)}
            onClick={() => fetchOne.mutate(sample.image)}
            aria-label={`Try a held-out image, ${sample.label}`}
          >
            <Tile sha={sample.image} alt="" />
            <span>{sample.label}</span>
          </button>
        ))}
      </div>
      {fetchOne.error ? <Failure error={fetchOne.error} what="" /> : null}
    </>
  );
}
