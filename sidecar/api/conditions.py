"""Read the request headers that set conditions: If-None-Match (RFC 9110) and Prefer (RFC 7240).

Pure text. What cannot be understood is as though it were not there, as both RFCs want it.
"""

import re
from typing import Final

LONGEST_WAIT: Final = 300.0
"""The longest `Prefer: wait` that is kept to (seconds)."""

_ENTITY_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\uffff]*")')
_PREFERENCE: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*(?:"|\\?$))+')  # to the next comma outside of quotes
_WAIT: Final = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?')


def names_tag(header: str, etag: str) -> bool:
    """Decide whether If-None-Match holds this tag, compared weakly: the client has what it would get."""
    return header.strip() == "*" or etag in _ENTITY_TAG.findall(header)


def holds_tag(text: str) -> bool:
    """Tell whether there is an entity tag in a text: without its quotes it is none."""
    return _ENTITY_TAG.search(text) is not None


def preferred_wait(header: str) -> float | None:
    """Give the seconds of `wait=N`, at most LONGEST_WAIT; None where the client has no such preference.

    The first preference counts where there are several.
    """
    for preference in _PREFERENCE.findall(header):
        token = preference.partition(";")[0].strip()
        if match := _WAIT.fullmatch(token.lower()):
            return min(float(match[1]), LONGEST_WAIT)
    return None
