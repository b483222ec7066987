"""Say what belongs into a file: a value, a field, a tree or a template.

Must not write: what it gives is written by others.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.core.config.models import Config, FileSpec
from sidecar.core.errors import ConfigError, Problem
from sidecar.outputs.values import Reading

if TYPE_CHECKING:
    from sidecar.outputs.templates import Source  # at run time only where there is a template

Content = Mapping[str, bytes]
"""What is written: of a file under the name "", of a folder under the names of its files."""

Make = Callable[[Reading], Content]
"""Make the content of what is held; raises NotYet and Unrendered."""

ALONE = ""


def prepare(config: Config) -> tuple[dict[str, Make], list[Problem]]:
    """Give what makes each file's content, by path, and all that is wrong with templates; they are read here."""
    makes: dict[str, Make] = {}
    problems: list[Problem] = []
    for index, spec in enumerate(config.files):
        try:
            makes[spec.path] = _make(f"files.{index}", spec, config)
        except ConfigError as error:
            problems += error.problems
    return makes, problems


def _make(key: str, spec: FileSpec, config: Config) -> Make:
    if spec.secret is not None:
        name = spec.secret
        return lambda reading: {ALONE: reading.secret(name)}
    if spec.tree is not None:
        tree = spec.tree
        return lambda reading: reading.tree(tree)
    source = _source(key, spec)
    key += ".template" if spec.template is not None else ".template_file"
    mistakes = source.mistakes(config.secrets, config.trees)
    if problems := [Problem(f"{source.name} line {each.line}", key, each.what) for each in mistakes]:
        raise ConfigError(problems)
    compiled = source.compiled()
    return lambda reading: {ALONE: compiled.render(reading)}


def _source(key: str, spec: FileSpec) -> "Source":
    from sidecar.outputs.templates import Source  # noqa: PLC0415 -- Jinja2, 4 MB, for those who have a template

    if spec.template is not None:
        return Source(f"the template of {spec.path}", spec.template)
    path = spec.template_file or ""
    try:
        return Source(path, Path(path).read_text("utf-8"))
    except UnicodeDecodeError:
        what = "it is not UTF-8 text"
    except OSError as error:
        what = f"it cannot be read: {error.strerror}"
    raise ConfigError([Problem(path, f"{key}.template_file", what)])
