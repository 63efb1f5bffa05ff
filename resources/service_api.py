"""A client of the classifier service."""

from __future__ import annotations

import os
import time
from typing import Any, Final

import httpx

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.pixels import sniff_format
from mlops_assets.contracts.prediction import Answer

REQUEST_SECONDS: Final = 30.0
REFUSED_FOR_NOW: Final = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
REPEATS: Final = 3
LONGEST_WAIT: Final = 5  # seconds
KEY_VARIABLE: Final = "MLOPS_API_KEY"


class ServiceError(PlatformError):
    """The service does not answer, or refuses a request; the message says why."""


class ServiceApi:
    """One service; its methods may be called from several threads."""

    def __init__(self, url: str, *, connections: int = 8) -> None:
        """The key or token to send, where the service asks for one, is ``MLOPS_API_KEY``."""
        self.url = url.rstrip("/")
        key = os.environ.get(KEY_VARIABLE)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=connections)
        self._client = httpx.Client(base_url=self.url, timeout=REQUEST_SECONDS, limits=limits,
                                    headers=headers)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def predict(
        self, content: bytes, *, name: str = "the image", client: str | None = None
    ) -> Answer:
        """Classify one encoded image, for a ``client`` who is kept on one slot of a rollout.

        Raises:
            ServiceError: no image, no answer, or a refusal.
        """
        kind = sniff_format(content)
        if kind is None:
            raise ServiceError(f"{name} is not a PNG, JPEG, WebP, BMP, TIFF or GIF image")
        headers = {"content-type": f"image/{kind}"}
        if client is not None:
            headers["x-client-id"] = client
        body = self._send(name, "/v1/predict", content=content, headers=headers)
        return Answer.model_validate(body)

    def explain(self, content: bytes, target: str | None = None) -> dict[str, Any]:
        """Why the champion answers as it does: its label, ``method``, and ``heat``, 0 to 1.

        Raises:
            ServiceError: no answer, or a refusal.
        """
        kind = sniff_format(content) or "octet-stream"
        query = {"format": "json", **({"target": target} if target else {})}
        body: dict[str, Any] = self._send("the image", "/v1/explain", content=content,
                                          params=query, headers={"content-type": f"image/{kind}"})
        return body

    def feedback(self, prediction_id: str, label: str) -> None:
        """Tell the true label of an earlier prediction.

        Raises:
            ServiceError: no answer, or a refusal.
        """
        self._send(prediction_id, "/v1/feedback",
                   json={"prediction_id": prediction_id, "label": label})

    def _ask(self, path: str, **request: Any) -> httpx.Response:
        """One that is refused for now is asked again when the service says, a few times."""
        response = self._client.post(path, **request)
        for _ in range(REPEATS):
            wait = response.headers.get("retry-after", "")
            if response.status_code not in REFUSED_FOR_NOW or not wait.isdecimal() or (
                    int(wait) > LONGEST_WAIT):
                break
            time.sleep(int(wait))
            response = self._client.post(path, **request)
        return response

    def _send(self, subject: str, path: str, **request: Any) -> Any:
        try:
            response = self._ask(path, **request)
            body = response.json()
        except httpx.InvalidURL as error:
            raise ServiceError(f"`{self.url}` is not an address: {error}") from error
        except httpx.HTTPError as error:
            raise ServiceError(
                f"no service answers on {self.url} ({error}); see `mlops status`"
            ) from error
        except ValueError as error:
            raise ServiceError(f"{self.url}{path} answers no JSON; is that the service?") from error
        if response.is_error:
            said = body.get("detail") or body.get("title") if isinstance(body, dict) else body
            raise ServiceError(f"{subject}: the service answers {response.status_code}: {said}")
        return body
