"""The MLflow model: base64 text in, answers out."""

from __future__ import annotations

import base64
from typing import Any

import mlflow


class Classifier(mlflow.pyfunc.PythonModel):
    """Classify."""

    def load_context(self, context: Any) -> None:
        from classifier import backend

        self.work = backend()

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return self.work([base64.b64decode(str(each)) for each in list(model_input)])


mlflow.models.set_model(Classifier())
