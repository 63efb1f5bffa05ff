"""A stand-in for the API server of Kubernetes: Jobs are checked strictly, and run as processes.

A container becomes a process of this machine with the variables that the manifest gives it, and no
others but ``PATH``. A pod is its process; deleting it terminates the process, and what names it as
its owner goes along, as Kubernetes' garbage collector has it. Of an Indexed Job every index is a
process, which begins again as the Job's limit has it; the names of its pods are loopback.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from mlops_assets.config import PROJECT_ROOT
from tests.manifests import faults
from tests.running import free_port

VERSION = "1.37"


@dataclass
class Pod:
    """One Job's pod."""

    name: str
    job: dict[str, Any]
    process: subprocess.Popen[bytes]
    log: Path
    index: int = 0
    attempt: int = 0
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Cluster:
    """What the stand-in holds; ``variables`` are ConfigMaps and Secrets by name."""

    folder: Path
    variables: Mapping[str, Mapping[str, str]]
    refused: list[str] = field(default_factory=list)
    posted: list[dict[str, Any]] = field(default_factory=list)
    posted_services: list[dict[str, Any]] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def make(self, job: dict[str, Any]) -> tuple[int, Any]:
        """Check a Job and start it."""
        name = job["metadata"]["name"]
        with self.lock:
            if name in self.jobs:
                return 409, status(409, f"{name} already exists")
            if said := faults([job], VERSION, self.folder):
                self.refused.append(said)
                return 422, status(422, said)
            self.posted.append(json.loads(json.dumps(job)))
            job["metadata"] |= {"uid": str(uuid.uuid4()),
                                "creationTimestamp": datetime.now(UTC).isoformat()}
            self.jobs[name] = job
            for index in range(job["spec"].get("completions", 1)):
                self._start(job, index)
        return 201, job

    def make_service(self, service: dict[str, Any]) -> tuple[int, Any]:
        """Check a Service and hold it."""
        if said := faults([service], VERSION, self.folder):
            self.refused.append(said)
            return 422, status(422, said)
        self.posted_services.append(service)
        self.services[service["metadata"]["name"]] = service
        return 201, service

    def delete_service(self, name: str) -> tuple[int, Any]:
        """A Service goes."""
        if self.services.pop(name, None) is None:
            return 404, status(404, f"{name} not found")
        return 200, status(200, "deleted")

    def _start(self, job: dict[str, Any], index: int = 0, attempt: int = 0) -> None:
        mine = job["metadata"]["name"]
        name = f"{mine}-{index}" + (f"-{attempt}" if attempt else "")
        container = job["spec"]["template"]["spec"]["containers"][0]
        variables = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                     "HOSTNAME": name}
        for source in container.get("envFrom", ()):
            reference = source.get("configMapRef") or source["secretRef"]
            variables |= self.variables[reference["name"]]
        variables |= {each["name"]: each["value"] for each in container.get("env", ())}
        command = [*container.get("command", ()), *container.get("args", ())]
        if is_indexed(job):
            variables["JOB_COMPLETION_INDEX"] = str(index)
            port = self.ports.setdefault(mine, free_port())
            command = [_on_loopback(word, mine, index, port) for word in command]
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, env=variables, cwd=PROJECT_ROOT, stdout=out, stderr=out,
                start_new_session=True)
        self.processes.append(process)
        self.pods[name] = Pod(name, job, process, log, index, attempt)

    def pods_of(self, name: str) -> list[Pod]:
        """A Job's pods, by index and attempt."""
        return sorted((pod for pod in self.pods.values() if pod.job["metadata"]["name"] == name),
                      key=lambda pod: (pod.index, pod.attempt))

    def _indexed_view(self, job: dict[str, Any]) -> dict[str, Any]:
        """The state of an Indexed Job, whose failed indexes begin again as it allows."""
        spec = job["spec"]
        latest = {pod.index: pod for pod in self.pods_of(job["metadata"]["name"])}
        codes = {index: pod.process.poll() for index, pod in latest.items()}
        hopeless = [code for rule in spec["podFailurePolicy"]["rules"]
                    if rule["action"] == "FailJob" for code in rule["onExitCodes"]["values"]]
        said = ""
        for index, code in codes.items():
            if code in hopeless:
                said = "PodFailurePolicy"
            elif code and latest[index].attempt >= spec["backoffLimitPerIndex"]:
                said = "MaxFailedIndexesExceeded"
        if said:
            for pod in latest.values():
                if pod.process.poll() is None:
                    pod.process.terminate()
            return {"failed": 1, "conditions": [
                {"type": "Failed", "status": "True", "reason": said}]}
        for index, code in codes.items():
            if code:
                self._start(job, index, latest[index].attempt + 1)
        if set(codes.values()) == {0}:
            return {"succeeded": len(codes), "conditions": [{"type": "Complete", "status": "True"}]}
        return {"active": len(codes)}

    def job_view(self, name: str) -> tuple[int, Any]:
        """A Job with its state."""
        if name not in self.jobs:
            return 404, status(404, f"{name} not found")
        job, pod = self.jobs[name], self.pods.get(f"{name}-0")
        if is_indexed(job):
            with self.lock:
                return 200, job | {"status": self._indexed_view(job)}
        code = pod.process.poll() if pod else 1
        if code is None:
            return 200, job | {"status": {"active": 1}}
        kind = "Failed" if code else "Complete"
        return 200, job | {"status": {
            "failed" if code else "succeeded": 1,
            "conditions": [{"type": kind, "status": "True"}]}}

    def pod_view(self, name: str) -> tuple[int, Any]:
        """A pod with its state."""
        pod = self.pods.get(name)
        if pod is None:
            return 404, status(404, f"{name} not found")
        template = pod.job["spec"]["template"]
        job = pod.job["metadata"]["name"]
        labels = template["metadata"].get("labels", {}) | {
            "job-name": job, "batch.kubernetes.io/job-name": job}
        code = pod.process.poll()
        state = {"running": {}} if code is None else {"terminated": {
            "exitCode": code if code >= 0 else 128 - code,
            "reason": "Error" if code else "Completed"}}
        return 200, {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
                     "metadata": {"name": name, "uid": pod.uid, "labels": labels},
                     "status": {"phase": "Running" if code is None else "Failed",
                                "containerStatuses": [{
                                    "name": template["spec"]["containers"][0]["name"],
                                    "image": "", "imageID": "", "ready": code is None,
                                    "restartCount": 0, "state": state}]}}

    def delete_job(self, name: str, *, with_pod: bool) -> tuple[int, Any]:
        """A Job goes, and its pod stays unless that is asked for: so batch/v1 has it."""
        with self.lock:
            if self.jobs.pop(name, None) is None:
                return 404, status(404, f"{name} not found")
            for pod in self.pods_of(name) if with_pod else ():
                self.delete_pod(pod.name)
            for service in list(self.services.values()):
                if name in [owner["name"] for owner in service["metadata"]["ownerReferences"]]:
                    self.delete_service(service["metadata"]["name"])
        return 200, status(200, "deleted")

    def delete_pod(self, name: str) -> tuple[int, Any]:
        """A pod goes with its process, and with the Jobs that it owns."""
        with self.lock:
            pod = self.pods.pop(name, None)
            if pod is None:
                return 404, status(404, f"{name} not found")
            if pod.process.poll() is None:
                insist(pod.process)
            for job in list(self.jobs.values()):
                owners = job["metadata"].get("ownerReferences", ())
                if pod.uid in [owner["uid"] for owner in owners]:
                    self.delete_job(job["metadata"]["name"], with_pod=True)
        return 200, status(200, "deleted")

    def close(self) -> None:
        """End every process."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def logs(self) -> str:
        """The ends of all logs, for assertion messages."""
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}"
                         for path in sorted(self.folder.glob("*.log")))


def insist(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, again every two seconds for a while.

    An interrupt that comes while Python collects garbage is lost in a weak reference's callback;
    a cluster would kill the pod when its grace period is over.
    """
    process.terminate()

    def again() -> None:
        for _ in range(20):
            time.sleep(2)
            if process.poll() is not None:
                return
            process.terminate()

    threading.Thread(target=again, daemon=True).start()


def status(code: int, message: str) -> dict[str, Any]:
    """As the API server says what became of a request."""
    return {"apiVersion": "v1", "kind": "Status", "code": code, "message": message,
            "status": "Success" if code < 400 else "Failure"}


def is_indexed(job: Mapping[str, Any]) -> bool:
    """Whether each of a Job's pods has an index."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def _on_loopback(word: str, job: str, index: int, port: int) -> str:
    """An argument of a pod, as Kubernetes and its DNS would have it."""
    word = word.replace("$(JOB_COMPLETION_INDEX)", str(index)).replace("29400", str(port))
    return re.sub(rf"{job}-\d+\.{job}(?![\w-])", "127.0.0.1", word)


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster

    def log_message(self, *_: object) -> None:
        pass

    def _say(self, answer: tuple[int, Any]) -> None:
        body = json.dumps(answer[1]).encode()
        self.send_response(answer[0])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def _parts(self) -> tuple[list[str], dict[str, str]]:
        address = urlsplit(self.path)
        path = [unquote(part) for part in address.path.split("/") if part]
        at = path.index("namespaces")
        return path[at + 2:], {key: value[0] for key, value in parse_qs(address.query).items()}

    def do_GET(self) -> None:
        (kind, *name), query = self._parts()
        view = self.cluster.job_view if kind == "jobs" else self.cluster.pod_view
        if name[1:] == ["log"]:
            pod = self.cluster.pods.get(name[0])
            self._say((200, pod.log.read_text()) if pod else self.cluster.pod_view(name[0]))
            return
        if name:
            self._say(view(name[0]))
            return
        held = {"jobs": self.cluster.jobs, "pods": self.cluster.pods}.get(kind, {})
        found = [view(each)[1] for each in list(held)]
        wanted = query.get("labelSelector", "")
        self._say((200, {"kind": "List", "items": [
            each for each in found if _selected(each["metadata"].get("labels", {}), wanted)]}))

    def do_POST(self) -> None:
        (kind, *_), _ = self._parts()
        make = self.cluster.make_service if kind == "services" else self.cluster.make
        self._say(make(self._body()))

    def do_DELETE(self) -> None:
        asked = self._body() or {}
        (kind, name), query = self._parts()
        if kind == "pods":
            self._say(self.cluster.delete_pod(name))
            return
        if kind == "services":
            self._say(self.cluster.delete_service(name))
            return
        policy = query.get("propagationPolicy") or asked.get("propagationPolicy")
        self._say(self.cluster.delete_job(
            name, with_pod=policy in ("Background", "Foreground")))


def _selected(labels: Mapping[str, str], selector: str) -> bool:
    for part in filter(None, selector.split(",")):
        key, equal, value = part.partition("=")
        if key not in labels or (equal and labels[key] != value):
            return False
    return True


@contextmanager
def api_server(
    folder: Path, variables: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[Cluster, Path]]:
    """The stand-in on a free loopback port, and a kubeconfig that leads to it."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, variables)
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {
            "server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "here", "user": {}}],
        "contexts": [{"name": "here", "context": {
            "cluster": "here", "user": "here", "namespace": "mlops"}}],
    }))
    try:
        yield cluster, kubeconfig
    finally:
        cluster.close()
        server.shutdown()
        server.server_close()
