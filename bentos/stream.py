"""Answers the messages of a Kafka topic: ``python -m bentos.stream --brokers HOST:PORT``.

A message's value is an encoded image; its answer (``Answer``, or a problem document) goes to
another topic under the same key, with header ``source``. Delivery is at least once: offsets are
committed after the answers were acknowledged. A message that was journaled before a crash is not
answered anew; its journaled answer, with the same id, is sent again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import Message
from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker, KafkaMessage

from bentos.predictor import Predictor
from bentos.problems import Problem
from bentos.runtime import Runtime
from bentos.settings import ServiceSettings, images_dir, journal_dir, model_dir
from mlops_assets.contracts.prediction import PredictionRecord
from resources.journal import hours, read_hour

logger = logging.getLogger("bentos.stream")
BATCH: Final = 32
BUSY_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Topics:
    """Where images come from and answers go to. ``group`` shares the work among consumers."""

    images: str = "images"
    answers: str = "answers"
    group: str = "classifier"


DEFAULT: Final = Topics()


def source_of(message: Message) -> str:
    """The place of a message, which is the same whenever it is delivered."""
    return f"kafka:{message.topic()}/{message.partition()}/{message.offset()}"


def journaled(folder: Path, topic: str) -> dict[str, PredictionRecord]:
    """Answers that the journal holds for messages of a topic, by source.

    Offsets are committed after each batch, so what may be delivered again was journaled in the
    latest hour that has any message of the topic, or across its beginning in the one before.
    """
    found: dict[str, PredictionRecord] = {}
    prefix = f"kafka:{topic}/"
    for key in reversed(hours(folder)):
        latest_is_read = bool(found)
        found |= {record.source: record for record in read_hour(folder, key)[0]
                  if record.source is not None and record.source.startswith(prefix)}
        if latest_is_read:
            break
    return found


class Consumer:
    """Answers batches of messages through one predictor."""

    def __init__(
        self, predictor: Predictor, journal: Path, topics: Topics, broker: KafkaBroker
    ) -> None:
        self._predictor: Final = predictor
        self._journal: Final = journal
        self._topics: Final = topics
        self._broker: Final = broker
        self._answered: dict[str, PredictionRecord] | None = None

    def forget(self) -> None:
        """Read the journal again before the next batch.

        Partitions may have come from a consumer that was killed between answer and commit.
        """
        self._answered = None

    async def take(self, messages: Sequence[Message]) -> None:
        """Answer every message, and return when all answers are acknowledged."""
        if self._answered is None:
            self._answered = await asyncio.to_thread(
                journaled, self._journal, self._topics.images)
        answers = await asyncio.gather(*(self._answer(message) for message in messages))
        await asyncio.gather(*(
            self._broker.publish(
                body, self._topics.answers, key=message.key(),
                headers={"source": source_of(message), "content-type": "application/json"},
            ) for message, body in zip(messages, answers, strict=True)
        ))

    async def _answer(self, message: Message) -> bytes:
        source = source_of(message)
        known = (self._answered or {}).get(source)
        if known is not None:
            return known.answer.model_dump_json().encode()
        while True:
            try:
                answered = await self._predictor.predict(
                    message.value() or b"", started=time.perf_counter(),
                    caller=f"stream:{self._topics.images}", source=source)
            except Problem as problem:
                if problem.status != 503:
                    return bytes(problem.response().body)
                await asyncio.sleep(BUSY_SECONDS)
            else:
                return answered.body


def make_stream(brokers: str, topics: Topics) -> FastStream:
    """The application; it loads the model when it starts."""
    broker = KafkaBroker(
        brokers, logger=logger, enable_idempotence=True, allow_auto_create_topics=False)
    app = FastStream(broker, logger=logger)
    settings, journal = ServiceSettings(), journal_dir()
    consumers: list[tuple[Consumer, Predictor]] = []

    def assigned(*_: object) -> None:
        for consumer, _predictor in consumers:
            consumer.forget()

    @broker.subscriber(
        topics.images, group_id=topics.group, auto_offset_reset="earliest", batch=True,
        max_records=BATCH, ack_policy=AckPolicy.MANUAL, on_assign=assigned,
    )
    async def answer(message: KafkaMessage) -> None:
        raw = message.raw_message
        await consumers[0][0].take(raw if isinstance(raw, tuple) else (raw,))
        await message.ack()

    @app.on_startup
    async def load() -> None:
        predictor = Predictor(
            Runtime(model_dir(), threads=settings.threads, deterministic=settings.deterministic),
            journal_dir=journal, images_dir=images_dir(), bento_tag="stream", settings=settings)
        predictor.follow()
        consumers.append((Consumer(predictor, journal, topics, broker), predictor))

    @app.after_shutdown
    async def close() -> None:
        for _, predictor in consumers:
            await predictor.close()

    return app


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bentos.stream", description=__doc__)
    parser.add_argument("--brokers", required=True, help="host:port, several with commas")
    parser.add_argument("--images", default=DEFAULT.images, help="topic of encoded images")
    parser.add_argument("--answers", default=DEFAULT.answers, help="topic of answers")
    parser.add_argument("--group", default=DEFAULT.group, help="consumer group")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    topics = Topics(options.images, options.answers, options.group)
    asyncio.run(make_stream(options.brokers, topics).run())


if __name__ == "__main__":
    main()
