import asyncio
from pathlib import Path

import pytest

from sidecar.core.config.loading import load
from sidecar.core.config.models import Config
from sidecar.outputs.contents import ALONE, prepare
from tests.engine.world import laboratory
from tests.outputs.world import DB, LEAF, declare, reading


def config(*files: str) -> Config:
    """Read a configuration that has these files."""
    text = "secrets: {db: ssm:/db}\ntrees: {app: ssm:/app/}\nfiles:\n" + "".join(f"  - {file}\n" for file in files)
    return load(file=("x", text), environ={})


@pytest.mark.looptime
async def test_each_kind_of_content(tmp_path: Path) -> None:
    """A value, a field, a tree, a template here and one in a file."""
    template = tmp_path / "t"
    template.write_text("{{ secret('db#a') }}!")
    makes, problems = prepare(
        config(
            "{path: /v, secret: db}",
            "{path: /f, secret: db#a}",
            "{path: /t, tree: app}",
            "{path: /i, template: \"{{ secret('db') }}?\"}",
            f"{{path: /x, template_file: {template}}}",
        )
    )
    assert problems == []
    async with laboratory() as lab:
        lab.source.put(DB, b'{"a":"b"}')
        lab.source.put(LEAF, b"leaf")
        declare(lab, db=DB)
        await asyncio.sleep(1)
        assert {path: make(reading(lab)) for path, make in makes.items()} == {
            "/v": {ALONE: b'{"a":"b"}'},
            "/f": {ALONE: b"b"},
            "/t": {"leaf": b"leaf"},
            "/i": {ALONE: b'{"a":"b"}?'},
            "/x": {ALONE: b"b!"},
        }


def test_mistakes_of_all_templates_come_at_once(tmp_path: Path) -> None:
    """With file and line, or the file that it would have been."""
    bad, binary = tmp_path / "bad", tmp_path / "binary"
    bad.write_text("\n{{ secret('db'")
    binary.write_bytes(b"\xff")
    makes, problems = prepare(
        config(
            "{path: /ok, template: x}",
            "{path: /a, template: \"{{ secret('nobody') }}\"}",
            f"{{path: /b, template_file: {bad}}}",
            f"{{path: /c, template_file: {binary}}}",
            f"{{path: /d, template_file: {tmp_path}/none}}",
        )
    )
    assert set(makes) == {"/ok"}
    assert [(each.where, each.key) for each in problems] == [
        ("the template of /a line 1", "files.1.template"),
        (f"{bad} line 2", "files.2.template_file"),
        (str(binary), "files.3.template_file"),
        (f"{tmp_path}/none", "files.4.template_file"),
    ]
    assert problems[3].what == "it cannot be read: No such file or directory"
