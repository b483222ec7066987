import json
import subprocess
import sys
from pathlib import Path

from tests.cli.processes import clean

CRASH = """
import sys
from sidecar.cli.configured import load_config
from sidecar.cli.daemon import run
def fail(bound, config):
    raise ValueError("canary")
yaml = "listen: {unix: {path: s}, ops: 127.0.0.1:0}"
try:
    run(lambda: load_config(("x", yaml), {}), on_bound=fail)
except Exception as error:
    print(type(error).__name__)
"""


def test_a_crash_is_logged_without_what_it_quotes(tmp_path: Path) -> None:
    """The last line says which exception came from where; its text, which is not ours, is left out."""
    code = [sys.executable, "-c", CRASH]
    run = subprocess.run(code, cwd=tmp_path, env=clean({}), capture_output=True, text=True, check=True)
    line = json.loads(run.stderr.splitlines()[-1])
    assert line["event"] == "daemon_crashed"
    assert "ValueError" in line["error"]
    assert "canary" not in run.stderr
    assert run.stdout == "ExceptionGroup\n"
