"""Get the AWS Encryption CLI, as requirements/encryption-cli.txt pins it, into an environment of its own in .venv/.

It needs an older Encryption SDK than the project uses. Must not fetch what is there already.
"""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.deploy.layer import KEPT, NotFetchedError
from tests.docs_markdown import ROOT

PINS: Final = ROOT / "requirements" / "encryption-cli.txt"


def encryption_cli() -> Path:
    """Give the program, fetched where it is not there or of other pins; raises NotFetchedError."""
    wanted = hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    place = KEPT / f"encryption-cli-{wanted}"
    KEPT.mkdir(exist_ok=True)
    with (KEPT / "encryption-cli.lock").open("w") as lock:  # several workers may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "whole").exists():
            _fetch(place)
            (place / "whole").touch()
    return place / "bin" / "aws-encryption-cli"


def _fetch(place: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", place], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "--quiet", "--retries", "1"]
    asked = ["install", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--requirement", str(PINS)]
    done = subprocess.run([*pip, *asked], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotFetchedError(done.stderr.strip().rpartition("\n")[2])
