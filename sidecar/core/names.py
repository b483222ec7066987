"""Say what a secret may be called by the app that asks for it.

Pure text. Must not know what a name stands for: configuration and store do.
"""

import re
from typing import Final, NewType

from sidecar.core.errors import BadName

Name = NewType("Name", str)
"""What an app asks for: `db-password`, `app/feature/x`."""

MAX_BYTES: Final = 512

# A segment is not "." or ".."; spelt without look-ahead, so that JSON Schema and every regex engine can use it.
_SEGMENT: Final = r"(?:\.*[A-Za-z0-9_-][A-Za-z0-9._-]*|\.{3,})"
NAME_PATTERN: Final = rf"^{_SEGMENT}(?:/{_SEGMENT})*$"
"""A name's pattern for JSON Schema; the length stands beside it, as `maxLength`."""

_NAME: Final = re.compile(NAME_PATTERN)


def parse_name(text: str) -> Name:
    """Take `text` as a name; raises BadName, which does not quote it."""
    if len(text) > MAX_BYTES:  # a name is ASCII, so characters are bytes
        msg = f"the name is longer than {MAX_BYTES} bytes"
        raise BadName(msg)
    if not _NAME.fullmatch(text):
        raise BadName("this is no name of a secret")
    return Name(text)


def name_below(tree: Name, rest: str) -> Name:
    """Name the parameter that lies at `rest` below a tree's path; raises BadName."""
    return parse_name(f"{tree}/{rest}")
