"""The drift report as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

TEMPLATE: Final = Path(__file__).with_name("drift_report.html.j2")


def render(body: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page of a report's ``body``; ``pictures`` are PNG in base64 by name.

    Whatever comes from production (classes, labels) is escaped.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)
    environment.filters["short"] = _short
    template = environment.from_string(TEMPLATE.read_text())
    return template.render(body=body, pictures=pictures)


def _short(value: object) -> str:
    """Numbers to four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
