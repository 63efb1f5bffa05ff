"""An MLServer runtime; its settings switch adaptive batching on."""

from __future__ import annotations

import base64

import orjson
from classifier import backend
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Classifier(MLModel):
    """Classify base64 images, one a row."""

    async def load(self) -> bool:
        self.work = backend()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = [base64.b64decode(each) for each in payload.inputs[0].data]
        answers = [orjson.dumps(each).decode() for each in self.work(rows)]
        return InferenceResponse(model_name=self.name, outputs=[ResponseOutput(
            name="answers", shape=[len(answers), 1], datatype="BYTES", data=answers)])
