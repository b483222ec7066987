from pathlib import Path

import pytest

from sidecar.accounts import SystemAccounts
from sidecar.core.config.loading import load
from sidecar.core.config.models import Config, FileSpec
from sidecar.core.errors import ConfigError
from sidecar.outputs.files import prepare_files, site_of
from sidecar.outputs.folders import Ownership
from sidecar.outputs.places import SingleFile, TreeFolder


def config(*files: str) -> Config:
    """Read a configuration that has these files."""
    text = "secrets: {db: ssm:/db}\nfiles:\n" + "".join(f"  - {file}\n" for file in files)
    return load(file=("x", text), environ={})


def test_a_disk_and_bad_templates_are_refused_before_anything_starts(memory: Path) -> None:
    """All of it at once; a folder that is not there yet may be mounted later."""
    with pytest.raises(ConfigError) as refused:
        prepare_files(config("{path: /etc/x, secret: db}", '{path: /none/x, template: "{{"}'))
    assert [problem.key for problem in refused.value.problems] == ["files.1.template", "files.0.path"]
    fine = config("{path: /etc/x, secret: db, allow_disk: true}", f"{{path: {memory}/x, secret: db}}")
    assert [each.spec.path for each in prepare_files(fine)] == ["/etc/x", f"{memory}/x"]


def test_owners_are_numbers_in_the_end() -> None:
    """Names are looked up; none means that it stays the process's own."""
    spec = FileSpec.model_validate({"path": "/run/x", "secret": "db", "owner": "root", "group": "12"})
    assert site_of(spec, SystemAccounts()).place == SingleFile("x", Ownership(0o400, 0, 12))
    tree = FileSpec.model_validate({"path": "/run/x", "tree": "t", "mode": "0440"})
    assert site_of(tree, SystemAccounts()).place == TreeFolder("x", Ownership(0o440))
