import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useState } from "react";
import { post } from "../api/client";
import { queueQuery } from "../api/queries";
import type { Done, Queue, QueueRow } from "../api/types";
import { count, fixed, percent, words } from "../lib/format";
import { classForKey, keyForClass } from "../lib/labelKeys";
import { useMayNot } from "../lib/useMay";
import { A } from "../ui/A";
import { Bars } from "../ui/Bars";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Empty, errorText } from "../ui/States";
import { Tile } from "../ui/Tile";
import { Time } from "../ui/Time";
import { toast } from "../ui/toasts";
import "./labels.css";

export default function Labels() {
  const queue = useQuery(queueQuery);
  return (
    <>
      <PageHead
        title="Label queue"
        sub="Say what an image shows. Labels tell how often the model is right now, and the next retraining learns from them."
      />
      <Load query={queue} what="The label queue" height={560}>
        {(data) => <Work queue={data} />}
      </Load>
    </>
  );
}

function Work({ queue }: { queue: Queue }) {
  const client = useQueryClient();
  const mayNot = useMayNot();
  const [gone, setGone] = useState<ReadonlySet<string>>(new Set());
  const [given, setGiven] = useState(0);
  const waiting = useMemo(() => queue.rows.filter((row) => !gone.has(row.id)), [queue.rows, gone]);
  const row = waiting[0];

  const pass = useCallback((id: string) => setGone((before) => new Set(before).add(id)), []);
  const send = useMutation({
    mutationFn: (label: { prediction_id: string; label: string }) => post<Done>("/labels", label),
    onMutate: (label) => {
      // The next image comes at once; a refused label brings its image back.
      pass(label.prediction_id);
      setGiven((before) => before + 1);
    },
    onError: (error, label) => {
      toast(`The label was not taken: ${errorText(error)}`, true);
      setGiven((before) => before - 1);
      setGone((before) => new Set([...before].filter((id) => id !== label.prediction_id)));
    },
  });
  const { mutate } = send;
  const refill = waiting.length === 0 && queue.open > given;
  useEffect(() => {
    if (!refill || send.isPending) return;
    setGone(new Set());
    setGiven(0);
    void client.invalidateQueries({ queryKey: queueQuery.queryKey });
  }, [refill, send.isPending, client]);

  useEffect(() => {
    if (!row || mayNot) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (
        event.target instanceof Element &&
        event.target.closest("input, select, textarea, [role=dialog]")
      )
        return;
      if (event.key.toLowerCase() === "s") pass(row.id);
      const label = classForKey(event.key, queue.classes);
      if (label) mutate({ prediction_id: row.id, label });
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [row, mayNot, queue.classes, pass, mutate]);

  const done = queue.done + given;
  return (
    <>
      <Progress done={done} wanted={queue.wanted} open={Math.max(0, queue.open - given)} />
      {row ? (
        <One
          row={row}
          next={waiting[1]}
          classes={queue.classes}
          mayNot={mayNot}
          onSkip={() => pass(row.id)}
          onLabel={(label) => mutate({ prediction_id: row.id, label })}
        />
      ) : (
        <Empty
          title={
            done >= queue.wanted
              ? "All the labels that are wanted are there."
              : "The queue is empty."
          }
        >
          Images come here when the model is unsure of them or they look new, and when they are
          kept.{" "}
          <A className="l" href="/drift">
            See what the labels say
          </A>
        </Empty>
      )}
    </>
  );
}

function Progress({ done, wanted, open }: { done: number; wanted: number; open: number }) {
  return (
    <div className="label-progress">
      <div
        className="track"
        role="progressbar"
        aria-label="Labels"
        aria-valuemin={0}
        aria-valuemax={Math.max(wanted, 1)}
        aria-valuenow={Math.min(done, Math.max(wanted, 1))}
      >
        <i style={{ width: `${Math.min(100, (done / Math.max(1, wanted)) * 100)}%` }} />
      </div>
      <span>
        <b>{count(done)}</b> labels for the model that serves; a retraining needs {count(wanted)}.{" "}
        {open === 1 ? "1 image waits" : `${count(open)} images wait`}.
      </span>
    </div>
  );
}

interface OneProps {
  row: QueueRow;
  next: QueueRow | undefined;
  classes: readonly string[];
  mayNot: string | undefined;
  onSkip: () => void;
  onLabel: (label: string) => void;
}

function One({ row, next, classes, mayNot, onSkip, onLabel }: OneProps) {
  return (
    <div className="labelling">
      <div className="big">
        <Tile sha={row.image} alt="The image to label" lazy={false} />
        <p className="note">
          <Time at={row.at} />, novelty {fixed(row.novelty)}.{" "}
          <A className="l" href={`/lineage/${encodeURIComponent(row.id)}`}>
            Lineage
          </A>
        </p>
        {next ? (
          <div className="sr" aria-hidden="true">
            <Tile sha={next.image} alt="" lazy={false} />
          </div>
        ) : null}
      </div>
      <div>
        <h2 className="h">What does it show?</h2>
        <div className="choices">
          {classes.map((name, index) => (
            <button
              className="btn"
              type="button"
              key={name}
              disabled={Boolean(mayNot)}
              onClick={() => onLabel(name)}
            >
              <kbd>{keyForClass(index)}</kbd> {name}
            </button>
          ))}
          <button className="btn skip-it" type="button" disabled={Boolean(mayNot)} onClick={onSkip}>
            <kbd>S</kbd> Skip
          </button>
        </div>
        {mayNot ? <p className="note">{mayNot}</p> : null}
        <h2 className="h">Why this one</h2>
        <p className="mut why">
          {words(row.why).replace(/\.$/, "")}. The model answered <b>{row.label}</b> at{" "}
          {percent(row.confidence)}.
        </p>
        <Bars values={row.probabilities} top={6} />
      </div>
    </div>
  );
}
