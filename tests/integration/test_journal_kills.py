"""An answer that left is in the journal, once, however often the service is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from mlops_assets.contracts.pixels import PixelSpec
from resources.chain import breaks
from resources.journal import hours, list_files, read_hour
from tests.model_dir import encode, random_image, write_model_dir

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SPEC = PixelSpec(height=28, width=28, channels=1)
BODIES = [encode(random_image(number, SPEC)) for number in range(40)]
KILLS, CLIENTS = 200, 6


class Clients:
    """Post without pause; note the id of every answer that came back whole."""

    def __init__(self, url: str) -> None:
        self.answered: list[str] = []
        self._url, self._stop = url, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        draw = random.Random(number)
        headers = {"content-type": "image/png"}
        with httpx.Client(base_url=self._url, timeout=10) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(
                        "/v1/predict", content=draw.choice(BODIES), headers=headers)
                except httpx.TransportError:
                    continue
                if answer.status_code == 200:
                    self.answered.append(answer.json()["prediction_id"])

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_200_kills_under_load_lose_no_answer(tmp_path: Path) -> None:
    write_model_dir(tmp_path / "model", pixels=SPEC)
    draw = random.Random(0)
    command = [sys.executable, "-m", "tests.integration.kill_service", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as forker:
        assert forker.stdin is not None and forker.stdout is not None
        clients = Clients(f"http://127.0.0.1:{int(forker.stdout.readline())}")
        productive = 0
        try:
            for _ in range(KILLS):
                before = len(clients.answered)
                forker.stdin.write("serve\n")
                forker.stdin.flush()
                child = int(forker.stdout.readline())
                until = time.monotonic() + 30
                while len(clients.answered) == before and time.monotonic() < until:
                    time.sleep(0.005)
                time.sleep(draw.uniform(0.0, 0.1))
                productive += len(clients.answered) > before
                os.kill(child, signal.SIGKILL)
        finally:
            clients.stop()
            forker.stdin.close()
    assert productive == KILLS
    kept = Counter(record.answer.prediction_id for key in hours(tmp_path / "journal")
                   for record in read_hour(tmp_path / "journal", key)[0])
    broken = {path: found for key in hours(tmp_path / "journal")
              for path in list_files(tmp_path / "journal", key) if (found := list(breaks(path)))}
    assert broken == {}
    assert len(clients.answered) > 5 * KILLS
    assert set(clients.answered) <= set(kept)
    assert max(kept.values()) == 1
