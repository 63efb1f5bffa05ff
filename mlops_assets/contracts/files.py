"""Names of files that one part writes and another reads, and where they lie."""

from __future__ import annotations

from typing import Final

# In artifacts, by asset.
HISTORY_FILE: Final = "history.json"  # trained_model
EVALUATION_FILE: Final = "evaluation.json"  # model_evaluation
REGISTRATION_FILE: Final = "registration.json"  # registered_model
BENTO_FILE: Final = "bento.json"  # model_bento

# Below the platform home.
SERVING_FILE: Final = "serving/state.json"  # a `RolloutState`, which services follow
