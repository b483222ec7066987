import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Make a directory that every user may write, outside pytest's private one, and short enough for a socket."""
    made = Path(tempfile.mkdtemp(prefix="sidecar-"))
    made.chmod(0o1777)
    yield made
    shutil.rmtree(made)
