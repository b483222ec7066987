"""Run a bit of Python as another user, as real callers of several uids are."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start processes of other users")

# The interpreter and its modules may lie where only root can read: everything is imported before the user changes.
_DROP = "import os\nos.setgroups({groups})\nos.setgid({gid})\nos.setuid({uid})\n"


def as_user(uid: int, code: str, *, imports: str, gid: int | None = None, groups: Sequence[int] = ()) -> str:
    """Give what `code` prints when this user runs it after `imports`; a failure of its own fails the test."""
    drop = _DROP.format(uid=uid, gid=uid if gid is None else gid, groups=list(groups))
    program = [sys.executable, "-c", f"{imports}\n{drop}\n{code}"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=30)
    assert not done.returncode, done.stderr
    return done.stdout
