"""DVC over the artifact store: every raw snapshot is tracked, and can be pushed and pulled."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.hashing import RECORD_FILE
from resources.data_services import artifacts_url
from resources.durable import locked, write_bytes

CONFIG: Final = """\
[core]
    no_scm = True
    analytics = false
    check_update = false
    autostage = false
"""
SITE_CACHE: Final = ".dvc-site"
REMOTE: Final = """\
    remote = artifacts
['remote "artifacts"']
    url = {url}
"""


class DvcError(PlatformError):
    """A DVC command failed; the message is DVC's own."""


def is_whole(folder: Path) -> bool:
    """Whether a version is there, and DVC is not, or was not when it was killed, writing it."""
    return (folder / RECORD_FILE).is_file() and not _mark_of(folder).exists()


def _mark_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".pulling")


def pointer_of(folder: Path) -> Path:
    """The ``.dvc`` file beside a tracked folder."""
    return folder.with_name(folder.name + ".dvc")


@dataclass(frozen=True, slots=True)
class DvcRepository:
    """A DVC repository without Git at ``root``, the artifact store's folder."""

    root: Path

    def run(self, *arguments: str) -> str:
        """Run ``dvc`` and return what it prints.

        Raises:
            DvcError: it exits with another code than 0.
        """
        # Elsewhere than in /var/tmp, which a container may not write; nor has its user a name.
        environment = {"LOGNAME": "mlops", **os.environ,
                       "DVC_SITE_CACHE_DIR": str(self.root / SITE_CACHE)}
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=self.root, capture_output=True,
            text=True, check=False, env=environment,
        )
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise DvcError(f"`dvc {' '.join(arguments)}` in {self.root}: {said}")
        return done.stdout

    def _ensure(self) -> bool:
        """Make the repository if it is not there, analytics off; whether it has a remote."""
        path = self.root / ".dvc" / "config"
        if not path.is_file():
            self.run("init", "--no-scm", "--quiet", "--force")
            # As `dvc config` would write it, in one second less a setting.
            write_bytes(path, CONFIG.encode())
        # DVC takes `file://` for a part of a relative path.
        url = (artifacts_url("dvc") or "").removeprefix("file://") or None
        if url is not None and path.read_text() != (config := CONFIG + REMOTE.format(url=url)):
            write_bytes(path, config.encode())
        return url is not None

    def track(self, folder: Path) -> str:
        """Track ``folder`` (below ``root``) and return its DVC hash, as in the ``.dvc`` file.

        With ``MLOPS_ARTIFACTS_URL`` it is in the remote there when this returns.
        """
        pointer = pointer_of(folder)
        self.root.mkdir(parents=True, exist_ok=True)
        # DVC itself gives up when another run is at it, and half a repository is none.
        with locked(self.root):
            if not pointer.is_file() or artifacts_url() is not None:
                remote = self._ensure()
                if not pointer.is_file():
                    self.run("add", "--quiet", str(folder.relative_to(self.root)))
                if remote:
                    self.run("push", "--quiet", str(pointer.relative_to(self.root)))
        return self.hash_of(folder)

    def pull(self, pointer: str) -> None:
        """Bring what a ``.dvc`` file (below ``root``) names from the cache or a remote.

        Raises:
            DvcError: neither has it.
        """
        with locked(self.root):
            self._ensure()
            self.run("pull", "--quiet", pointer)

    def bring_back(self, folder: Path) -> None:
        """Pull what the ``.dvc`` file beside a folder names, unless somebody just did.

        Raises:
            DvcError: neither the cache nor a remote has it.
        """
        mark = _mark_of(folder)
        with locked(self.root):
            if is_whole(folder):
                return
            mark.touch()
            self._ensure()
            self.run("pull", "--quiet", "--force", str(pointer_of(folder).relative_to(self.root)))
            mark.unlink()

    def hash_of(self, folder: Path) -> str:
        """The hash in the ``.dvc`` file beside a tracked folder.

        Raises:
            DvcError: the file is missing or is not DVC's.
        """
        pointer = pointer_of(folder)
        try:
            entry = yaml.safe_load(pointer.read_text())["outs"][0]
            return str(entry["md5"])
        except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError) as error:
            raise DvcError(
                f"{pointer} is missing or damaged; run `dvc add {folder.name}` in {folder.parent}"
            ) from error
