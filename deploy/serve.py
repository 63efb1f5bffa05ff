"""Becomes ``bentoml serve`` for the bento that the rollout named as champion."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Final

from deploy.layout import Layout
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.rollout import SlotAssignment, read_state
from resources.durable import write_bytes

POLL_SECONDS: Final = 2.0


class NoChampion(PlatformError):
    """There is no released model, or its record can not be read."""


def read_champion(path: Path) -> SlotAssignment:
    """The champion in ``serving/state.json``.

    Raises:
        NoChampion: there is no such file, or no champion in it.
        PlatformError: it is damaged.
    """
    if not path.is_file():
        raise NoChampion(
            f"no model is released yet ({path} is not there); materialize `rollout` first")
    champion = read_state(path).slots.get("champion")
    if champion is None:
        raise NoChampion(f"{path} names no champion; materialize `rollout` again")
    return champion


def wait_for_champion(path: Path) -> SlotAssignment:
    """The champion, once there is one: on a cluster services are there before any model.

    Raises:
        PlatformError: the state is damaged.
    """
    if not path.is_file():
        sys.stderr.write(f"no model is released yet; waiting for {path}\n")
        sys.stderr.flush()
    while not path.is_file():
        time.sleep(POLL_SECONDS)
    return read_champion(path)


def main() -> None:
    """Replace this process by the service, so that the supervisor's signals reach it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slot", choices=("champion", "challenger", "any"), help=(
        "wait for a first model, then answer as this slot alone, where the edge of a cluster "
        "routes; `any` divides the traffic here, by the state's weights"))
    options = parser.parse_args()
    layout = Layout(Path(os.environ["PLATFORM_HOME"]))
    try:
        if options.slot is None:
            tag = read_champion(layout.serving).bento_tag
            write_bytes(layout.served, tag.encode())
        else:
            # The challenger is loaded beside the champion, by following the state.
            tag = wait_for_champion(layout.serving).bento_tag
            if options.slot != "any":
                os.environ["MLOPS_SERVICE_SLOT"] = options.slot
    except PlatformError as error:
        sys.exit(f"mlops: {error}")
    os.environ |= {"MLOPS_SERVICE_FOLLOW": str(layout.serving),
                   "MLOPS_SERVICE_PARENT": str(os.getpid())}
    bentoml = Path(sys.executable).parent / "bentoml"
    # An argument list, no shell.
    os.execv(bentoml, [  # noqa: S606  # nosec B606
        str(bentoml), "serve", tag,
        "--host", options.host, "--port", str(options.port),
    ])


if __name__ == "__main__":
    main()
