"""The base of every error that a person can act on."""

from __future__ import annotations


class PlatformError(Exception):
    """One line that says what is wrong, where, and what to do."""
