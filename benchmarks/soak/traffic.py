"""Clients that do everything there is to do with the service, good and bad, over and over."""

from __future__ import annotations

import asyncio
import base64
import io
import random
import time
import zipfile
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx
import numpy as np

from mlops_assets.contracts.pixels import PixelSpec
from tests.hostile_images import hostile_image
from tests.hostile_json import hostile_id, hostile_json
from tests.model_dir import CLASSES, encode, random_image

CLIENTS: Final = 8
REMEMBERED: Final = 1_000
SUFFIXES: Final = (".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif")
BUSY: Final = 503


def good_images(pixels: PixelSpec) -> list[bytes]:
    """Of every format: those that fit, and larger ones."""
    sizes = (pixels, PixelSpec(height=60, width=80, channels=3),
             PixelSpec(height=300, width=260, channels=3))
    found = [encode(np.repeat(random_image(seed, size), 3 // size.channels, axis=2), suffix)
             for size in sizes for suffix in SUFFIXES for seed in range(6)]
    return found + [encode(random_image(seed, pixels)) for seed in range(400)]


@dataclass(slots=True)
class Traffic:
    """One after another, each client sends a request of a random kind and checks the answer.

    ``made`` counts the predictions that were answered, ``seconds`` has the times of good images
    since it was last emptied, ``faults`` what must not happen. ``pause`` is between two requests
    of one client.
    """

    url: str
    images: list[bytes]
    seed: int
    pause: float
    made: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    _recent: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``."""
        limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=self.url, limits=limits, timeout=60) as client:
            await asyncio.gather(*(
                self._client(client, random.Random(f"{self.seed} {number}"), stop)
                for number in range(CLIENTS)))

    async def _client(
        self, client: httpx.AsyncClient, chance: random.Random, stop: asyncio.Event
    ) -> None:
        kinds = {self._good: 60, self._form: 10, self._bad: 12, self._label: 6, self._look_up: 6,
                 self._bundle: 3, self._native: 2, self._explain: 1, self._odd: 4}
        names, weights = list(kinds), list(kinds.values())
        while not stop.is_set():
            (ask,) = chance.choices(names, weights)
            await ask(client, chance)
            await asyncio.sleep(self.pause)

    async def _send(
        self, client: httpx.AsyncClient, method: str, path: str, *allowed: int, **request: Any
    ) -> httpx.Response | None:
        """The answer when it is 200; any other status is ``allowed`` or 503, else a fault."""
        answer = await client.request(method, path, **request)
        route = path.partition("?")[0][:16]
        self.statuses[route, answer.status_code] += 1
        if answer.status_code == 200:
            return answer
        if answer.status_code not in (*allowed, BUSY):
            self.faults.append(f"{method} {route}: {answer.status_code} {answer.text[:300]}")
        return None

    def _keep(self, body: dict[str, Any]) -> None:
        self.made.append(body["prediction_id"])
        self._recent.append(body["prediction_id"])

    async def _good(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        headers = {"content-type": "image/png", "x-client-id": str(chance.randrange(500))}
        image, started = chance.choice(self.images), time.perf_counter()
        answer = await self._send(client, "POST", "/v1/predict", content=image, headers=headers)
        if answer is not None:
            self.seconds.append(time.perf_counter() - started)
            self._keep(answer.json())

    async def _form(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        files = {"image": ("a.png", chance.choice(self.images))}
        answer = await self._send(client, "POST", "/v1/predict", files=files)
        if answer is not None:
            self._keep(answer.json())

    async def _bad(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        headers = {"content-type": "image/png"}
        answer = await self._send(client, "POST", "/v1/predict", 400, 413, 415, 422,
                                  content=hostile_image(chance), headers=headers)
        if answer is not None:
            self._keep(answer.json())

    async def _label(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        if self._recent:
            label = {"prediction_id": chance.choice(self._recent), "label": chance.choice(CLASSES)}
            await self._send(client, "POST", "/v1/feedback", json=label)

    async def _look_up(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        if self._recent:
            path = f"/v1/predictions/{chance.choice(self._recent)}"
            await self._send(client, "GET", path + chance.choice(("", "/receipt")))

    async def _bundle(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            for number in range(chance.randrange(1, 20)):
                file.writestr(str(number), chance.choice(self.images))
        answer = await self._send(client, "POST", "/v1/predict_batch", content=archive.getvalue(),
                                  headers={"content-type": "application/zip"})
        for each in answer.json()["results"] if answer is not None else []:
            if "answer" in each:
                self._keep(each["answer"])

    async def _native(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        text = base64.b64encode(chance.choice(self.images)).decode()
        answer = await self._send(client, "POST", "/predict", json={"image": text})
        if answer is not None:
            self._keep(answer.json())

    async def _explain(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        path = f"/v1/explain?format={chance.choice(('png', 'json'))}&method=occlusion"
        await self._send(client, "POST", path, content=chance.choice(self.images),
                         headers={"content-type": "image/png"})

    async def _odd(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        path = f"/v1/predictions/{quote(hostile_id(chance), safe='')}"
        method, path, status = chance.choice((
            ("GET", path, 404), ("GET", "/v1/none", 404), ("PUT", "/v1/feedback", 405)))
        await self._send(client, method, path, status)
        await self._send(client, "POST", "/v1/feedback", 400, 404, 413, 415, 422,
                         content=hostile_json(chance), headers={"content-type": "application/json"})
