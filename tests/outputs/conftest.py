import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def memory() -> Iterator[Path]:
    """Give a folder in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="sidecar-") as made:
        yield Path(made)
