"""The loop under kills: ``python -m benchmarks.drills`` (`make drills`).

On a demo of its own it plays the story again and again. Meanwhile one of the daemon, the webserver,
the service and MLflow is killed with SIGKILL at random moments; the supervisor starts it again.
Requests fail while the service is away, as they must, and a candidate may then be rejected or
rolled back: the old champion stays. A story has a fault when a model that passed no gate is
champion at its end, when a rollout or a retraining does not end, when an episode had two
retrainings, or when an answer or a label that was acknowledged is not in the journal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Report, describe_machine, publish
from deploy.layout import Layout
from deploy.ports import recorded_ports
from deploy.supervisor import Supervisor, SupervisorError
from mlops_assets.contracts.files import BENTO_FILE, SERVING_FILE
from mlops_assets.contracts.rollout import LADDER, RolloutState, read_state
from resources.dagster_api import DagsterApi, DagsterError, JobRun
from resources.journal import hours, journal_folder, read_hour

VICTIMS: Final = ("daemon", "webserver", "service", "mlflow")
SHIFTS: Final = ("rotated", "inverted", "upside-down", "noise")
RECORD: Final = "story.json"
BACK_SECONDS: Final = 120
SETTLE_SECONDS: Final = 600
RATE: Final = "60"
ENDED: Final = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
PORTS: Final = ("DAGSTER", "CODE", "MLFLOW", "SERVICE", "CONSOLE", "PROMETHEUS", "ALERTMANAGER")


class Killer(threading.Thread):
    """Kills one of the programs every ``mean`` seconds on average, until ``stop``."""

    def __init__(self, home: Path, mean: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.kills: Counter[str] = Counter()
        self._supervisor: Final = Supervisor(Layout(home))
        self._mean, self._random = mean, random.Random(seed)
        self._ended: Final = threading.Event()

    def stop(self) -> None:
        """End after the present wait."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Body of the thread."""
        while not self._ended.wait(self._random.expovariate(1 / self._mean)):
            name = self._random.choice(VICTIMS)
            try:
                pid = self._supervisor.states()[name].pid
                # One that is down has none, and 0 would be this process's own group.
                if not pid:
                    continue
                os.kill(pid, signal.SIGKILL)
            except (SupervisorError, ProcessLookupError, KeyError):
                continue
            self.kills[name] += 1
            print(f"    killed {name}", file=sys.stderr, flush=True)


def command_of(*arguments: str) -> list[str]:
    """The ``mlops`` command of this environment."""
    return [str(Path(sys.executable).parent / "mlops"), *arguments, "--profile", "demo"]


def mlops(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, its progress on this process's stderr."""
    return subprocess.run(command_of(*arguments), stdout=subprocess.PIPE, text=True, check=False)


def play(home: Path, shift: str, mean: float, seed: int) -> tuple[dict[str, Any], Counter[str]]:
    """One story of ``shift`` under kills; what it told, and who was killed."""
    killer = Killer(home, mean, seed)
    killer.start()
    try:
        done = mlops("story", "--json", "--rate", RATE, "--limit", "900", "--shift", shift,
                     "--record", str(home / RECORD))
    finally:
        killer.stop()
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        told = {}
    return told, killer.kills


def runs_of(port: int, job: str) -> list[JobRun]:
    """Dagster's latest runs of a job; whoever was killed last may not be back yet.

    Raises:
        DagsterError: the webserver does not come back.
    """
    until = time.monotonic() + BACK_SECONDS
    while True:
        try:
            with closing(DagsterApi(f"http://127.0.0.1:{port}")) as api:
                return api.runs(job)
        except DagsterError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def judgements(home: Path) -> list[str]:
    """The latest judgements of a rollout, as Dagster knows them: where to look after a fault."""
    ports = recorded_ports(Layout(home).ports)
    assert ports is not None
    return [f"judgement {run.run_id} at {time.ctime(run.at)}: {run.status}"
            for run in runs_of(ports.dagster, "judge_rollout")]


def settled(home: Path, shift: str) -> RolloutState:
    """The state of serving once no rollout goes on, or the last one that was seen.

    A rollout is judged on answers, so traffic goes on meanwhile.
    """
    if (state := read_state(home / SERVING_FILE)).step not in LADDER:
        return state
    until = time.monotonic() + SETTLE_SECONDS
    sender = subprocess.Popen(command_of("traffic", "--shift", shift, "--rate", RATE, "--seconds",
                                         str(SETTLE_SECONDS)), stderr=subprocess.DEVNULL)
    try:
        while state.step in LADDER and time.monotonic() < until:
            time.sleep(1)
            state = read_state(home / SERVING_FILE)
    finally:
        sender.send_signal(signal.SIGINT)
        sender.wait()
    return state


def released(home: Path) -> set[str]:
    """Tags of the bentos that the graph made, of models that passed the gate."""
    return {json.loads(path.read_bytes())["tag"]
            for path in (home / "store" / "model_bento").glob(f"*/{BENTO_FILE}")}


def faults_of(home: Path, shift: str) -> list[str]:
    """What must not be after a story of ``shift``."""
    found = []
    state = settled(home, shift)
    if state.step in LADDER:
        found.append(f"a rollout that does not end: {state.step}")
    if (tag := state.slots["champion"].bento_tag) not in released(home):
        found.append(f"{tag} is champion and passed no gate")
    ports = recorded_ports(Layout(home).ports)
    assert ports is not None
    until = time.monotonic() + SETTLE_SECONDS
    while (runs := runs_of(ports.dagster, "retrain")) and any(
            run.status not in ENDED for run in runs) and time.monotonic() < until:
        time.sleep(2)
    if any(run.status not in ENDED for run in runs):
        found.append("a retraining that does not end")
    attempts = Counter(run.tags.get("dagster/run_key", "") for run in runs)
    found += [f"{count} retrainings for {key}" for key, count in attempts.items() if count > 1]
    known: set[str] = set()
    twice = 0
    labelled: set[str] = set()
    folder = journal_folder(home)
    for key in hours(folder):
        records, labels = read_hour(folder, key)
        for record in records:
            twice += record.answer.prediction_id in known
            known.add(record.answer.prediction_id)
        labelled |= {label.prediction_id for label in labels}
    acknowledged = json.loads((home / RECORD).read_bytes())
    lost = (set(acknowledged["answered"]) - known, set(acknowledged["labelled"]) - labelled)
    if twice or any(lost):
        found.append(f"{twice} answers twice, {len(lost[0])} lost, {len(lost[1])} labels lost")
    return found


def ended(told: dict[str, Any]) -> str:
    """How a story ended, in a word or two."""
    if not told:
        return "no new model"
    return "repaired" if told["promoted"] else "rolled back"


def main() -> int:
    """Entry point; 1 when something was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drills", description=__doc__)
    parser.add_argument("--stories", type=int, default=3)
    parser.add_argument("--mean", type=float, default=12.0, help="seconds between two kills")
    parser.add_argument("--quick", action="store_true", help="one story; keeps nothing")
    options = parser.parse_args()
    machine = describe_machine()
    os.environ |= {f"MLOPS__PLATFORM__{name}_PORT": "0" for name in PORTS}
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="drills-") as folder:
        home = Path(folder, "home")
        os.environ["PLATFORM_HOME"] = str(home)
        try:
            if mlops("demo").returncode:
                return 1
            for number in range(1 if options.quick else options.stories):
                shift = SHIFTS[number % len(SHIFTS)]
                told, kills = play(home, shift, options.mean, seed=number)
                wrong = faults_of(home, shift)
                runs.append({
                    "story": number, "shift": shift,
                    "kills": kills.total(), **{name: kills[name] for name in VICTIMS},
                    "ended": ended(told),
                    "failed requests": told.get("failed_requests", 0),
                    "seconds": told.get("seconds", 0), "faults": "; ".join(wrong)})
                print(runs[-1], file=sys.stderr, flush=True)
                if wrong:
                    print(*judgements(home), sep="\n", file=sys.stderr, flush=True)
        finally:
            Supervisor(Layout(home)).stop()
    faults = sum(bool(run["faults"]) for run in runs)
    publish(Report(
        name="drills", command="python -m benchmarks.drills", machine=machine,
        summary={"stories": float(len(runs)), "kills": float(sum(run["kills"] for run in runs)),
                 "repaired": float(sum(run["ended"] == "repaired" for run in runs)),
                 "stories_with_faults": float(faults)},
        table=runs, runs=runs, method=__doc__.split("\n\n")[1].replace("\n", " "),
        limits={"kills": "at least 50", "stories_with_faults": "0"}, page="loop.md",
    ), quick=options.quick)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
