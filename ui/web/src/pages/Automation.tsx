import { Switch } from "@base-ui/react/switch";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { automationQuery } from "../api/queries";
import type { Automation as AutomationBody, JobView, RunView, SensorView } from "../api/types";
import { duration, readable, short, words } from "../lib/format";
import { useMayNot } from "../lib/useMay";
import { A } from "../ui/A";
import { useChange } from "../ui/change";
import { Glyph, type GlyphKind } from "../ui/Glyph";
import { Load } from "../ui/Load";
import { PageHead } from "../ui/PageHead";
import { Panel } from "../ui/Panel";
import { Scroll } from "../ui/Scroll";
import { Empty } from "../ui/States";
import { Time } from "../ui/Time";

const RESTS = ["Dagster"];

export default function Automation() {
  const automation = useQuery(automationQuery);
  const mayNot = useMayNot();
  return (
    <>
      <PageHead
        title="Automation"
        sub={
          mayNot ?? "Sensors that start work by themselves, what runs, and jobs to start by hand."
        }
      />
      <Load query={automation} what="Automation" height={620}>
        {(data) => <Whole data={data} />}
      </Load>
    </>
  );
}

function Whole({ data }: { data: AutomationBody }) {
  return (
    <div className="page-rows">
      <div className="row wide">
        <Panel title="Sensors and schedules" rests={RESTS}>
          {data.sensors.length ? (
            <Sensors sensors={data.sensors} />
          ) : (
            <Empty title="Dagster names no sensors.">
              Start it with <code className="mono">make up</code>.
            </Empty>
          )}
        </Panel>
        <Panel title="Launch a job" rests={RESTS}>
          <Launch jobs={data.jobs} />
        </Panel>
      </div>
      <div className="row one">
        <Panel title="Runs" meta="newest first" rests={RESTS}>
          {data.runs.length ? (
            <Runs runs={data.runs} />
          ) : (
            <Empty title="Nothing has run yet.">Launch a job above, or switch a sensor on.</Empty>
          )}
        </Panel>
      </div>
    </div>
  );
}

function Sensors({ sensors }: { sensors: readonly SensorView[] }) {
  const ask = useChange();
  const mayNot = useMayNot();
  const change = (sensor: SensorView) =>
    ask({
      title: `Switch ${sensor.name} ${sensor.running ? "off" : "on"}?`,
      what: (
        <p>
          {sensor.running
            ? "It starts nothing any more, until somebody switches it on again. Runs that go on are left alone."
            : "From its next tick on, it starts work by itself."}{" "}
          {sensor.description}
        </p>
      ),
      confirm: sensor.running ? "Switch off" : "Switch on",
      danger: sensor.running,
      path: `/sensors/${encodeURIComponent(sensor.name)}/${sensor.running ? "stop" : "start"}`,
      seen: sensor.version,
      done: `${sensor.name} is ${sensor.running ? "off" : "on"}.`,
    });
  return (
    <Scroll label="Sensors and schedules">
      <table className="list">
        <caption className="sr">Sensors and schedules</caption>
        <thead>
          <tr>
            <th scope="col">On</th>
            <th scope="col" className="left">
              Name
            </th>
            <th scope="col" className="left">
              Last tick
            </th>
            <th scope="col" className="left minor">
              What it said
            </th>
          </tr>
        </thead>
        <tbody>
          {sensors.map((sensor) => (
            <tr key={sensor.name}>
              <td>
                <Switch.Root
                  className="switch"
                  checked={sensor.running}
                  disabled={Boolean(mayNot)}
                  onCheckedChange={() => change(sensor)}
                  aria-label={`${sensor.name} is ${sensor.running ? "on" : "off"}`}
                >
                  <Switch.Thumb render={<i />} />
                </Switch.Root>
              </td>
              <td className="left wrap">
                <b>{sensor.name}</b>
                {sensor.schedule ? <span className="dim"> schedule</span> : null}
                <div className="note">{sensor.description}</div>
                <div className="note narrow">{readable(sensor.last_tick)}</div>
              </td>
              <td className="left">
                {sensor.last_tick_at ? <Time at={sensor.last_tick_at} form="ago" /> : "never"}
              </td>
              <td className="left wrap minor">{readable(sensor.last_tick) || "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

const PARTITIONS: Record<Exclude<JobView["partition"], "">, { ask: string; such: () => string }> = {
  batch: { ask: "Batch, a new name or one that is there", such: () => "2026-spring" },
  hour: { ask: "Hour, in UTC", such: lastHour },
  folder: { ask: "Folder below the one for scoring", such: () => "march" },
};

/** The key of the last whole hour. */
function lastHour(): string {
  const at = new Date(Date.now() - 3_600_000).toISOString();
  return `${at.slice(0, 10)}-${at.slice(11, 13)}:00`;
}

export function Launch({ jobs }: { jobs: readonly JobView[] }) {
  const ask = useChange();
  const mayNot = useMayNot();
  const [name, setName] = useState("");
  const [partition, setPartition] = useState("");
  const job = jobs.find((each) => each.name === name) ?? jobs[0];
  if (!job) return <Empty title="Dagster names no jobs." />;
  const takes = job.partition ? PARTITIONS[job.partition] : undefined;
  const choose = (chosen: string) => {
    setName(chosen);
    setPartition("");
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    ask({
      title: `Launch ${job.name}?`,
      what: (
        <p>
          Dagster queues one run of {job.name}
          {takes ? ` for ${partition.trim()}` : ""}. It takes a worker and its memory while it runs.
        </p>
      ),
      confirm: "Launch",
      path: "/launch",
      body: { job: job.name, partition: takes ? partition.trim() : null },
      seen: job.version,
      done: `${job.name} is queued.`,
    });
  };
  return (
    <form className="launch" onSubmit={submit}>
      <label className="field">
        <span>Job</span>
        <select className="in" value={job.name} onChange={(event) => choose(event.target.value)}>
          {jobs.map((each) => (
            <option key={each.name} value={each.name}>
              {words(each.name)}
            </option>
          ))}
        </select>
      </label>
      {takes ? (
        <label className="field">
          <span>{takes.ask}</span>
          <input
            className="in"
            required
            placeholder={takes.such()}
            value={partition}
            onChange={(event) => setPartition(event.target.value)}
          />
        </label>
      ) : null}
      <div className="acts">
        <button className="btn pri" type="submit" disabled={Boolean(mayNot)}>
          Launch
        </button>
      </div>
    </form>
  );
}

function runGlyph(status: string): GlyphKind {
  if (/success/i.test(status)) return "ok";
  if (/fail|cancel/i.test(status)) return "bad";
  return /start/i.test(status) ? "live" : "wait";
}

/** Left out where there is no room. */
const MINOR = new Set(["Run", "Partition", "Why"]);

function Runs({ runs }: { runs: readonly RunView[] }) {
  return (
    <Scroll label="Runs">
      <table className="list">
        <caption className="sr">Runs</caption>
        <thead>
          <tr>
            {["Status", "Job", "Run", "Partition", "Started", "Took", "Why"].map((name) => (
              <th scope="col" className={`left ${MINOR.has(name) ? "minor" : ""}`} key={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id}>
              <td>
                <span className="tag">
                  <Glyph kind={runGlyph(run.status)} size={12} />
                  {run.status.toLowerCase()}
                </span>
              </td>
              <td className="left break">{run.job}</td>
              <td className="left mono minor">
                {run.url ? (
                  <A className="l" href={run.url}>
                    {short(run.id)}
                  </A>
                ) : (
                  short(run.id)
                )}
              </td>
              <td className="left mono minor">{run.partition || "–"}</td>
              <td className="left">{run.started_at ? <Time at={run.started_at} /> : "waits"}</td>
              <td className="left">
                {run.started_at
                  ? duration(
                      ((run.ended_at ? Date.parse(run.ended_at) : Date.now()) -
                        Date.parse(run.started_at)) /
                        1000,
                    )
                  : "–"}
              </td>
              <td className="left wrap minor">{readable(run.reason) || "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
