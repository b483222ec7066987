"""Name what can keep a file from being what it should be.

    Undelivered
    ├── NotYet        something in it is not held yet: wait
    ├── Unrendered    a secret is gone, a template has a mistake: wait for another version, or mend it
    ├── Unwritten     the file system says no: try again later
    └── Untold        the file is right, whoever is to be told does not take it: try again later

A message names the file, the line and the secret; never a value, nor a foreign exception's text.
"""

import os

from sidecar.core.errors import SidecarError


class Undelivered(SidecarError):
    """A file, or the word of it, did not get where it should."""


class NotYet(Undelivered):
    """Something that it needs is not held yet, and nobody has said that it will not be."""

    mend = "Nothing to do unless it lasts; `sidecar status` says of the secret why."


class Unrendered(Undelivered):
    """Its content cannot be made of what is held; the old file stays."""

    mend = "Correct the template or the secret; it is made again when one of its secrets changes, or by a reload."


class Unwritten(Undelivered):
    """Its content cannot be put where it belongs; the old file stays. It is tried again."""

    mend = "Correct the folder, its owner or its file system; it is tried again by itself."


class Untold(Undelivered):
    """The file is written, but whoever is to be told has not taken it. It is tried again."""

    mend = "Correct what is told, or `on_change`; it is tried again by itself."


def unwritten(path: str, error: OSError) -> Unwritten:
    """Say what the system said of a path."""
    return Unwritten(f"{path}: {os.strerror(error.errno) if error.errno else type(error).__name__}")
