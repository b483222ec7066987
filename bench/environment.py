"""Make the environment that production has: the pins of `requirements/run.txt`, and nothing else.

What happens to be installed for tests is imported by libraries that find it, and would be measured as ours.
"""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_PINS: Final = ROOT / "requirements" / "run.txt"
_PLACE: Final = ROOT / ".venv" / "run-only"


def run_only_python() -> Path:
    """Give the interpreter of that environment, made where it is not there or of other pins."""
    python = _PLACE / "bin" / "python"
    stamp = _PLACE / "stamp"
    made_of = hashlib.sha256(_PINS.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != made_of:
        _make(python)
        stamp.write_text(made_of)
    return python


def _make(python: Path) -> None:
    print("Making the environment of requirements/run.txt in .venv/run-only ...", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", _PLACE], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--require-hashes", "--no-deps", "--requirement", str(_PINS)], check=True)
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True
    )
    Path(where.stdout.decode().strip(), "sidecar.pth").write_text(f"{ROOT}\n")  # the project as it stands here
