"""FastAPI as tutorials have it: an upload, PIL, torch eager, one image a call."""

from __future__ import annotations

from typing import Any

from classifier import Naive
from fastapi import FastAPI, UploadFile

app = FastAPI()
model = Naive()


@app.post("/predict")
async def predict(image: UploadFile) -> dict[str, Any]:
    """Classify."""
    return model.one(await image.read())
