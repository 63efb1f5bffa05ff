"""The base of every error that a person can act on."""

from __future__ import annotations

from typing import ClassVar


class PlatformError(Exception):
    """One line that says what is wrong, where, and what to do.

    A ``transient`` one may go away by itself: what failed is tried again.
    """

    transient: ClassVar[bool] = False


class FolderError(PlatformError):
    """A folder can not be read: it is missing, empty, refused, or changed meanwhile."""
