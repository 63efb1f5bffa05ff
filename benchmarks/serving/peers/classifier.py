"""What every peer shares: the model, eager or as the exported program, and two decoders.

``MODEL_DIR`` is a model folder with ``peer.onnx``, ``network.pt`` (state of a timm model) and
``peer.json`` (its name, arguments, classes and the channel's moments).
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

FOLDER = Path(os.environ["MODEL_DIR"])
ABOUT: dict[str, Any] = json.loads((FOLDER / "peer.json").read_bytes())
CLASSES: list[str] = ABOUT["classes"]
THREADS = int(os.environ.get("PEER_THREADS", "2"))


def decode_fast(content: bytes) -> Any:
    """uint8 ``[H, W, 1]`` by OpenCV."""
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)[..., None]


def answer(probabilities: Any) -> dict[str, Any]:
    """The body of an answer from one row."""
    best = int(probabilities.argmax())
    return {"label": CLASSES[best], "confidence": float(probabilities[best]),
            "probabilities": dict(zip(CLASSES, map(float, probabilities), strict=True))}


class Program:
    """The exported program by ONNX Runtime, fp32."""

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        program = FOLDER / os.environ.get("PEER_PROGRAM", "peer.onnx")
        self.session = onnxruntime.InferenceSession(
            str(program), options, providers=["CPUExecutionProvider"])

    def __call__(self, contents: list[bytes]) -> list[dict[str, Any]]:
        images = np.stack([decode_fast(each) for each in contents])
        return [answer(row) for row in self.session.run(["probabilities"], {"images": images})[0]]


class Eager:
    """The timm model in torch eager mode, fp32, channels last, in inference mode."""

    def __init__(self) -> None:
        import timm
        import torch

        torch.set_num_threads(THREADS)
        self.torch = torch
        self.model = timm.create_model(
            ABOUT["model"], num_classes=len(CLASSES), in_chans=1, **ABOUT["model_args"])
        self.model.load_state_dict(torch.load(FOLDER / "network.pt", weights_only=True))
        self.model.eval().to(memory_format=torch.channels_last)

    def __call__(self, contents: list[bytes]) -> list[dict[str, Any]]:
        images = np.stack([decode_fast(each) for each in contents])
        batch = self.torch.from_numpy(images).permute(0, 3, 1, 2).float()
        batch = (batch - ABOUT["mean"]) / ABOUT["std"]
        with self.torch.inference_mode():
            rows = self.model(batch).softmax(1).numpy()
        return [answer(row) for row in rows]


class Naive(Eager):
    """One image by PIL and torchvision's transforms, as tutorials have it."""

    def __init__(self) -> None:
        from torchvision import transforms

        super().__init__()
        mean, std = ABOUT["mean"] / 255, ABOUT["std"] / 255
        self.transform = transforms.Compose([
            transforms.Grayscale(), transforms.ToTensor(), transforms.Normalize([mean], [std])])

    def one(self, content: bytes) -> dict[str, Any]:
        """Answer one image."""
        from PIL import Image

        image = self.transform(Image.open(io.BytesIO(content)))[None]
        with self.torch.no_grad():
            return answer(self.model(image).softmax(1)[0].numpy())


def backend() -> Any:
    """``PEER_BACKEND``: ``eager`` or ``onnx``."""
    return Eager() if os.environ.get("PEER_BACKEND") == "eager" else Program()
