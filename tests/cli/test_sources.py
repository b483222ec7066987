import os
from pathlib import Path

import pytest

from sidecar.cli.sources import find_config, read_text
from sidecar.core.errors import ConfigError


def test_what_is_named_comes_first(folder: Path) -> None:
    """The option, then the variable, then the file in this folder; a named one need not exist to be meant."""
    (folder / "sidecar.yaml").touch()
    environ = {"SIDECAR_CONFIG": "named.yaml"}
    assert find_config(Path("option.yaml"), environ) == Path("option.yaml")
    assert find_config(None, environ) == Path("named.yaml")
    assert find_config(None, {}) == Path("sidecar.yaml")


def test_no_file_is_needed(folder: Path) -> None:
    """The environment may configure everything."""
    assert list(folder.iterdir()) == []
    assert find_config(None, {}) in {None, Path("/etc/sidecar/sidecar.yaml")}


def test_a_file_is_read_with_its_name(folder: Path) -> None:
    """Problems name it as the user did."""
    (folder / "sidecar.yaml").write_text("secrets: {}  # ä", "utf-8")
    assert read_text(Path("sidecar.yaml")) == ("sidecar.yaml", "secrets: {}  # ä")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("missing.yaml", "missing.yaml, it cannot be read: No such file or directory"),
        (".", "., it cannot be read: Is a directory"),
        ("latin.yaml", "latin.yaml, it is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read(folder: Path, name: str, what: str) -> None:
    """One problem, with its reason."""
    (folder / "latin.yaml").write_bytes(b"secrets: {}  # \xe4")
    with pytest.raises(ConfigError) as got:
        read_text(Path(name))
    assert [str(problem) for problem in got.value.problems] == [what]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not search a folder")
def test_a_folder_that_may_not_be_searched(folder: Path) -> None:
    """Is said in one line when the file is read, as for any other that cannot be."""
    folder.chmod(0o700)
    os.seteuid(65534)
    try:
        found = find_config(None, {})
        assert found == Path("sidecar.yaml")
        with pytest.raises(ConfigError, match=r"sidecar\.yaml, it cannot be read: Permission denied"):
            read_text(found)
    finally:
        os.seteuid(0)
