"""Reads ``deploy/Dockerfile`` and ``.dockerignore``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mlops_assets.config import PROJECT_ROOT

DOCKERFILE = PROJECT_ROOT / "deploy" / "Dockerfile"
IGNORED = PROJECT_ROOT / ".dockerignore"


@dataclass
class Stage:
    """One stage: what it starts from, and its instructions with their lines joined."""

    parent: str
    lines: list[str] = field(default_factory=list)

    def words(self, instruction: str) -> list[str]:
        """What follows each such instruction."""
        return [line.split(" ", 1)[1] for line in self.lines if line.startswith(f"{instruction} ")]

    @property
    def copied(self) -> list[str]:
        """Paths that it takes from the project."""
        return [path for words in self.words("COPY") if not words.startswith("--from")
                for path in words.split()[:-1]]


def read_stages() -> dict[str, Stage]:
    """Name to stage."""
    stages: dict[str, Stage] = {}
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if start := re.match(r"FROM (\S+) AS (\S+)", line):
            stages[start[2]] = stage = Stage(start[1])
        elif stages and line and not line.startswith("#"):
            stage.lines.append(re.sub(r"\s+", " ", line))
    return stages


def reaches_the_builder(path: str) -> bool:
    """Whether ``.dockerignore`` lets a file through: of the lines that match it or a folder above
    it, the last one decides.
    """
    kept = True
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    for line in IGNORED.read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?")
            whole = re.compile(pattern.replace(r"\*", "[^/]*"))
            if any(whole.fullmatch(each) for each in above):
                kept = line.startswith("!")
    return kept
