"""Saves the MLflow model that ``mlflow models serve`` then answers with; argument: a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow

HERE = Path(__file__).parent

if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        sys.argv[1], python_model=str(HERE / "mlflow_model.py"),
        code_paths=[str(HERE / "classifier.py")], pip_requirements=[],
    )
