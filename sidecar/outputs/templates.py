"""Make texts of templates: Jinja2 in its sandbox, with the secrets and four ways to quote them.

Only imported where a file has a template. Must not quote what it has put in, nor Jinja2's own words of it.
Bytes that are not UTF-8 go through as lone surrogates, so that binary values survive any template.
"""

import base64
import json
import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sidecar.core.config.rules import undeclared
from sidecar.outputs.failures import Undelivered, Unrendered
from sidecar.outputs.values import Reading

MOST_BYTES: Final = 4 << 20
"""The largest text that is made: four times the largest secret there is, and no way to fill a memory."""

_SHOWN: Final = 100  # characters of what Jinja2 says of a syntax: words of the template, no value
_BYTES: Final = "surrogateescape"
_COMPILED_AS: Final = "<template>"


class Unquotable(Exception):
    """A value that a filter cannot write so that it is read again; its text is ours."""


# --- filters -------------------------------------------------------------------------------------------------------


def quote_for_shell(value: object) -> str:
    """Quote one word for a POSIX shell."""
    return shlex.quote(_without_nul(value))


def quote_for_dotenv(value: object) -> str:
    """Quote a value for a .env file: literally in single quotes where that says it, else escaped in double ones.

    Both are read alike by the usual readers; `$` is escaped in double quotes, where some would expand it.
    """
    text = _without_nul(value)
    if "'" not in text and "\\\\" not in text and not text.endswith("\\"):
        return f"'{text}'"
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def write_json(value: object) -> str:
    """Write a text, or what secret_json gave, as JSON."""
    try:
        written = json.dumps(value, ensure_ascii=False)
        written.encode()
    except (TypeError, ValueError):  # suppressed, as it quotes the value
        pass
    else:
        return written
    raise Unquotable("what is not text cannot be JSON; use base64")


def encode_base64(value: object) -> str:
    """Encode the bytes of a value."""
    return base64.b64encode(str(value).encode(errors=_BYTES)).decode()


def _without_nul(value: object) -> str:
    text = str(value)
    if "\0" in text:
        raise Unquotable("the value has a NUL byte, which can be quoted nowhere; use base64")
    return text


FILTERS: Final[dict[str, Callable[[object], str]]] = {
    "shell": quote_for_shell,
    "dotenv": quote_for_dotenv,
    "json": write_json,
    "base64": encode_base64,
}


# --- templates -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a template, before anything is rendered."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Source:
    """A template's text, and the name that it is told by."""

    name: str
    text: str

    def mistakes(self, secrets: Collection[str], trees: Collection[str]) -> Iterator[Mistake]:
        """Find what is no Jinja2, and names that nothing declares."""
        environment = _environment()
        try:
            tree = environment.parse(self.text)
            environment.compile(self.text)
        except TemplateSyntaxError as error:
            yield Mistake(error.lineno, f"it is no template: {(error.message or '')[:_SHOWN]}")
            return
        for node in tree.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)):
            yield Mistake(node.lineno, "a template cannot take in another one")
        yield from _strange_names(tree, secrets, trees)

    def compiled(self) -> "Compiled":
        """Make it ready; it has no mistakes."""
        return Compiled(self.name, _environment().from_string(self.text))


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template that is ready."""

    name: str
    template: Template

    def render(self, reading: Reading) -> bytes:
        """Give the text of what is held now; raises NotYet and Unrendered."""
        try:
            return self._render(reading)
        except Undelivered as failure:
            line = _line(failure.__traceback__)
            where = f"{self.name} line {line}" if line else self.name  # of the whole, no line is to blame
            raise type(failure)(f"{where}: {failure}", mend=failure.mend) from None
        except Exception as error:  # noqa: BLE001 -- whatever a template does ends here; its text may quote a value
            why, line = _reason(error), _line(error.__traceback__)
        raise Unrendered(f"{self.name} line {line}: {why}")

    def _render(self, reading: Reading) -> bytes:
        chunks, size = [], 0
        for chunk in self.template.generate(_functions(reading)):
            size += len(chunk)
            if size > MOST_BYTES:
                raise Unrendered(f"it becomes longer than {MOST_BYTES >> 20} MiB")
            chunks.append(chunk)
        return "".join(chunks).encode(errors=_BYTES)


def _functions(reading: Reading) -> dict[str, Callable[[str], object]]:
    def secret(name: str) -> str:
        return reading.secret(str(name)).decode(errors=_BYTES)

    def secret_json(name: str) -> object:
        value = reading.secret(str(name))
        try:
            document: object = json.loads(value)
        except (ValueError, RecursionError):  # suppressed, as it holds the value
            pass
        else:
            return document
        raise Unrendered(f"{name}: the value is not JSON")

    def tree(name: str) -> dict[str, str]:
        return {rest: value.decode(errors=_BYTES) for rest, value in reading.tree(str(name)).items()}

    return {"secret": secret, "secret_json": secret_json, "tree": tree}


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,  # files for programs, no HTML: an escaped password is a wrong one
        keep_trailing_newline=True,
        cache_size=0,
    )
    environment.filters.update(FILTERS)
    del environment.filters["random"], environment.globals["lipsum"]  # the same versions shall give the same bytes
    return environment


def _strange_names(tree: nodes.Template, secrets: Collection[str], trees: Collection[str]) -> Iterator[Mistake]:
    for call in tree.find_all(nodes.Call):
        if not isinstance(call.node, nodes.Name) or not call.args or not isinstance(call.args[0], nodes.Const):
            continue
        name = str(call.args[0].value)
        if call.node.name in {"secret", "secret_json"} and (what := undeclared(name, secrets, trees)):
            yield Mistake(call.lineno, what)
        if call.node.name == "tree" and name not in trees:
            yield Mistake(call.lineno, f"want a tree that stands under trees, got {name}")


def _reason(error: Exception) -> str:
    if isinstance(error, Unquotable):
        return str(error)
    if isinstance(error, UndefinedError):
        return "something that it asks for does not exist"
    if isinstance(error, SecurityError):
        return "it does what a template may not"
    return "it is no template" if isinstance(error, TemplateError) else f"it fails with {type(error).__name__}"


def _line(traceback: TracebackType | None) -> int:
    """Find the line of the template: Jinja2 makes tracebacks speak of it."""
    line = 0
    while traceback:
        if traceback.tb_frame.f_code.co_filename == _COMPILED_AS:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
