"""The list of threats names tests that exist."""

from __future__ import annotations

import re

from bentos.access import AccessSettings
from mlops_assets.config import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "security.md").read_text()


def test_every_test_on_the_page_exists() -> None:
    files = [*PROJECT_ROOT.glob("tests/threats/*.py"), PROJECT_ROOT / "tests/unit/test_api_keys.py"]
    sources = [path.read_text() for path in files]
    tests = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.M)}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named
    assert named <= tests


def test_every_setting_is_on_the_page_with_its_default() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    for name, field in AccessSettings.model_fields.items():
        (default,) = [row[2].strip(" `") for row in rows if f"`{name.upper()}`" in row[1]]
        known = field.default
        shown = "" if known is None else f"{known:g}" if isinstance(known, float) else known
        assert default == shown
