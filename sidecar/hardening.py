"""Keep the memory of this process to itself: no core dump, and no debugger of the same user.

Must be called before any secret is read. What the system cannot do is told, not raised: it is no reason not to start.
"""

import ctypes
import os
import resource
import sys
from collections.abc import Callable
from typing import Final

PR_SET_DUMPABLE: Final = 4  # linux/prctl.h

Prctl = Callable[[int, int], int]


def harden(prctl: Prctl | None = None) -> str | None:
    """Do both; give what could not be done, None when all could.

    Without dumpability /proc/<pid> belongs to root: other processes of this user cannot read this one's memory or
    environment. What a process reads of itself (`/proc/self/stat`, `/proc/self/fd`) stays readable.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = prctl or _prctl()
    if prctl is None:
        return f"{sys.platform} has no way to keep debuggers out"
    if prctl(PR_SET_DUMPABLE, 0) != 0:
        return f"PR_SET_DUMPABLE: {os.strerror(ctypes.get_errno())}"
    return None


def _prctl() -> Prctl | None:
    if sys.platform != "linux":
        return None
    function = ctypes.CDLL(None, use_errno=True).prctl
    return lambda option, value: int(function(option, value, 0, 0, 0))
