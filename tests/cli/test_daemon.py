import json
import subprocess
import sys
from pathlib import Path

from sidecar.cli.daemon import load_config
from tests.cli.processes import clean


def test_defaults_are_the_weakest() -> None:
    """What a command knows better yields to the file, and that to the environment."""
    config = load_config(
        ("sidecar.yaml", "cache: {refresh: 20s}"),
        {"SIDECAR_CACHE__MIN_REFRESH": "3s"},
        ("defaults", "cache: {refresh: 2s, min_refresh: 2s, negative_ttl: 2s}"),
    )
    assert (config.cache.refresh, config.cache.min_refresh, config.cache.negative_ttl) == (20, 3, 2)


CRASH = """
import sys
from sidecar.cli.daemon import load_config, run
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
