"""Images from Kafka: every message is answered, with one id, however often the consumer is killed.

The brokers are librdkafka's own mock cluster: real sockets, real protocol, consumer groups.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer, Producer

from bentos.runtime import Runtime
from mlops_assets.contracts.pixels import PixelSpec
from resources.journal import hours, read_hour
from tests.model_dir import encode, random_image, write_model_dir

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SPEC = PixelSpec(height=12, width=10, channels=1)
SLICE, KILLS = 700, 4
MESSAGES = SLICE * (KILLS + 1)


@pytest.fixture
def brokers() -> Iterator[str]:
    """Addresses of a mock cluster, which lives as long as this producer."""
    cluster = Producer({"bootstrap.servers": "ignored", "test.mock.num.brokers": 3})
    for topic in ("images", "answers"):  # asking for a topic makes it
        found = cluster.list_topics(topic, timeout=20).brokers.values()
    yield ",".join(f"{each.host}:{each.port}" for each in found)
    cluster.flush()


def start(brokers: str, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    variables = os.environ | {
        "MLOPS_MODEL_DIR": str(folder / "model"), "PLATFORM_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "bentos.stream", "--brokers", brokers]
    with log.open("ab") as output:
        return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=output)


def read_answers(consumer: Consumer, found: dict[bytes, list[bytes]], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for message in consumer.consume(500, timeout=0.02):
            if message.error() is None:
                found[message.key()].append(message.value())


def test_killed_consumers_lose_nothing_and_answer_once(tmp_path: Path, brokers: str) -> None:
    write_model_dir(tmp_path / "model", pixels=SPEC)
    runtime = Runtime(tmp_path / "model", threads=1)
    producer = Producer({"bootstrap.servers": brokers})
    images = [random_image(number, SPEC) for number in range(50)]

    def produce(part: int) -> None:
        for number in range(part * SLICE, (part + 1) * SLICE):
            value = b"no image" if number % 100 == 99 else encode(images[number % 50])
            producer.produce("images", value, key=b"%d" % number)
        producer.flush(30)

    answers: dict[bytes, list[bytes]] = defaultdict(list)
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "reader",
                       "auto.offset.reset": "earliest"})
    reader.subscribe(["answers"])
    log, draw = tmp_path / "stream.log", random.Random(0)
    try:
        for part in range(KILLS):
            produce(part)
            before = len(answers)
            consumer = start(brokers, tmp_path, log)
            until = time.monotonic() + 60
            while len(answers) == before and time.monotonic() < until:
                read_answers(reader, answers, 0.02)
            time.sleep(draw.uniform(0.0, 0.1))
            consumer.kill()
            consumer.wait()
            assert len(answers) > before, log.read_text()[-3000:]
        produce(KILLS)
        consumer = start(brokers, tmp_path, log)
        until = time.monotonic() + 120
        while len(answers) < MESSAGES and time.monotonic() < until:
            read_answers(reader, answers, 0.5)
        consumer.terminate()
        consumer.wait(30)
    finally:
        consumer.kill()
        reader.close()
    assert len(answers) == MESSAGES, log.read_text()[-3000:]
    expected = runtime.predict(np.stack(images))[0].argmax(axis=1)
    ids = set()
    for key, bodies in answers.items():
        number, told = int(key), [json.loads(body) for body in bodies]
        if number % 100 == 99:
            assert {each["status"] for each in told} == {415}
            continue
        assert len({each["prediction_id"] for each in told}) == 1
        assert told[0]["label"] == runtime.card.classes[int(expected[number % 50])]
        ids.add(told[0]["prediction_id"])
    good = MESSAGES - MESSAGES // 100
    journal = tmp_path / "home" / "journal"
    records = [each for key in hours(journal) for each in read_hour(journal, key)[0]]
    assert len(ids) == len(records) == len({each.source for each in records}) == good
    assert {each.answer.prediction_id for each in records} == ids

