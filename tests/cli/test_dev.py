import subprocess
import sys
from pathlib import Path

from tests.cli.processes import clean, run


def test_without_the_extra(tmp_path: Path) -> None:
    """Where moto is not installed, the line says how to install it."""
    code = "import sys; sys.modules['moto'] = None; from sidecar.cli import main; main(['dev'])"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean({}), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == "sidecar: the fake AWS is not installed. pip install 'secrets-sidecar[dev]'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_seed_with_mistakes(tmp_path: Path) -> None:
    """They are told as those of a configuration are, before anything starts."""
    (tmp_path / "seed.yaml").write_text("parameter: {/a: b}\nsecrets: {x: null}")
    ended = run("dev", "--seed", "seed.yaml", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0] == "sidecar: 2 problems"
    assert "  seed.yaml, parameter: there is no such section" in ended.stderr


def test_mistakes_in_the_daemons_section(tmp_path: Path) -> None:
    """They name the line of the seed file."""
    (tmp_path / "seed.yaml").write_text("parameters: {/a: b}\nsidecar:\n  secrets:\n    a: nonsense\n")
    ended = run("dev", "--seed", "seed.yaml", cwd=tmp_path)
    assert ended.returncode == 2
    assert "  seed.yaml line 4, secrets.a: " in ended.stderr


def test_a_seed_that_cannot_be_written(tmp_path: Path) -> None:
    """One line says why."""
    ended = run("dev", "--seed", "missing/seed.yaml", cwd=tmp_path)
    assert ended.returncode == 2
    assert "missing/seed.yaml, it cannot be written: No such file or directory" in ended.stderr
