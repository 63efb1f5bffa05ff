"""Becomes ``bentoml serve`` for the bento that the rollout named as champion."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.layout import Layout
from mlops_assets.contracts.errors import PlatformError
from resources.durable import write_bytes


class NoChampion(PlatformError):
    """There is no released model, or its record can not be read."""


class Champion(BaseModel):
    """The bento that serves, and the registry version of its model."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    bento_tag: str
    model_version: str


def read_champion(path: Path) -> Champion:
    """What ``serving/champion.json`` names.

    Raises:
        NoChampion: there is no such file, or it is damaged.
    """
    try:
        return Champion.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise NoChampion(
            f"no model is released yet ({path} is not there); materialize `rollout` first"
        ) from error
    except ValidationError as error:
        raise NoChampion(f"{path} is damaged; materialize `rollout` again") from error


def main() -> None:
    """Replace this process by the service, so that the supervisor's signals reach it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    layout = Layout(Path(os.environ["PLATFORM_HOME"]))
    try:
        champion = read_champion(layout.champion)
        write_bytes(layout.served, champion.model_dump_json().encode())
    except PlatformError as error:
        sys.exit(f"mlops: {error}")
    bentoml = Path(sys.executable).parent / "bentoml"
    # An argument list, no shell.
    os.execv(bentoml, [  # noqa: S606  # nosec B606
        str(bentoml), "serve", champion.bento_tag,
        "--host", options.host, "--port", str(options.port),
    ])


if __name__ == "__main__":
    main()
