"""Read YAML into plain mappings, lists and text, and remember on which line everything stands.

Scalars stay text as written: whoever knows the key decides what `0660`, `on` or `1:30` means, so none of YAML 1.1's
guesses gets in between, and a value means the same in a file and in a variable. Only a plain `null`, `~` or
nothing is None. Aliases are refused: nothing here repeats enough to need them, and they are how a small text becomes
a huge one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import yaml

Value: TypeAlias = "str | list[Value] | dict[str, Value] | None"
Path: TypeAlias = tuple[str | int, ...]

_LOADER: Final[type[yaml.CSafeLoader | yaml.SafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
_TEXT_TAGS: Final = (None, "!", "tag:yaml.org,2002:str")
_MAX_DEPTH: Final = 16
_LONGEST_KEY: Final = 80  # characters of a key that are worth repeating
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_PUNCTUATION: Final = re.compile(r"\W*")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong, by the path of its key; `line` where only its text can tell, else 0."""

    path: Path
    what: str
    line: int = 0


@dataclass(slots=True)
class Document:
    """What one text says."""

    values: dict[str, Value] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def dotted(path: Path) -> str:
    """Spell a path as people do; what is long or not printable, cut short or escaped."""
    return ".".join(_step_text(str(step)) for step in path)


def _step_text(text: str) -> str:
    short = text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}…"
    return short if short.isprintable() else repr(short)


def plain(text: str) -> str | None:
    """Give what an unquoted scalar means: itself or, for YAML's words for nothing, None."""
    return None if text in _NULLS else text


def read_document(text: str) -> Document:
    """Read one YAML document; what cannot be used is in `faults`, and the rest is as though that were not written."""
    document = Document()
    try:
        document.values = _Descent(_events(text), document).top()
    except yaml.MarkedYAMLError as error:
        document.faults.append(Fault((), f"want valid YAML: {_reason(error)}", _line(error.problem_mark)))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.faults.append(Fault((), "want printable text, got a control character", line))
    except _TooDeep as error:
        document.faults.append(Fault((), f"want at most {_MAX_DEPTH} levels of nesting", error.line))
    return document


def _events(text: str) -> Iterator[yaml.Event]:
    # An environment may hold bytes that are no UTF-8; as lone surrogates they would not get into the C parser.
    return yaml.parse(_SURROGATE.sub("\ufffd", text), Loader=_LOADER)


def _reason(error: yaml.MarkedYAMLError) -> str:
    return _QUOTED.sub(_unquoted, error.problem or "it ends too early")


def _unquoted(match: re.Match[str]) -> str:
    # A word that PyYAML puts in quotes is taken from the text, which may hold what should not be repeated.
    return match[0] if _PUNCTUATION.fullmatch(match[0]) else "something else"


def _line(mark: "yaml.Mark | yaml._yaml.Mark | None") -> int:
    return mark.line + 1 if mark else 0


class _TooDeep(Exception):
    """Never leaves this module."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


class _Unusable:
    """Stands for a value that was reported and is left out."""


_UNUSABLE: Final = _Unusable()


class _Descent:
    """Descend along the parser's events; `_MAX_DEPTH` bounds the recursion.

    A path of None is that of something to be thrown away: it is read to its end and leaves no trace.
    """

    def __init__(self, events: Iterator[yaml.Event], document: Document) -> None:
        self._events = events
        self._document = document

    def top(self) -> dict[str, Value]:
        values: dict[str, Value] = {}
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                node = next(self._events)
                if documents > 1:
                    self._fault((), "want one document, got another", node)
                    self._value(node, None)
                else:
                    values = self._top_mapping(node)
        return values

    def _top_mapping(self, node: yaml.Event) -> dict[str, Value]:
        value = self._value(node, ())
        if isinstance(value, dict):
            return value
        if value is not None:
            self._fault((), "want a mapping of keys at the top", node)
        return {}

    def _value(self, event: yaml.Event, path: Path | None, depth: int = 0) -> "Value | _Unusable":
        if depth > _MAX_DEPTH:
            raise _TooDeep(_line(event.start_mark))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        self._fault(path, "want the value written out, got an alias", event)
        return _UNUSABLE

    def _scalar(self, event: yaml.ScalarEvent, path: Path | None) -> "str | _Unusable | None":
        if event.tag not in _TEXT_TAGS:
            self._fault(path, "want a value without a tag", event)
            return _UNUSABLE
        return plain(event.value) if event.implicit[0] and event.tag is None else event.value

    def _mapping(self, path: Path | None, depth: int) -> dict[str, Value]:
        values: dict[str, Value] = {}
        key_lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path, key_lines, depth)
            below = None if path is None or key is None else (*path, key)
            value = self._value(next(self._events), below, depth + 1)
            if below is not None and key is not None and not isinstance(value, _Unusable):
                values[key] = value
        return values

    def _key(self, event: yaml.Event, path: Path | None, key_lines: dict[str, int], depth: int) -> str | None:
        """Take a key that can be used, and note its line; None for one that cannot."""
        key = self._value(event, None, depth + 1)
        line = _line(event.start_mark)
        if not isinstance(key, str):
            self._fault(path, "want a key that is text", event)
            return None
        if key in key_lines:
            self._fault(
                None if path is None else (*path, key), f"want it once, got it on line {key_lines[key]} too", event
            )
            return None
        key_lines[key] = line
        if path is not None:
            self._document.lines[*path, key] = line
        return key

    def _list(self, path: Path | None, depth: int) -> list[Value]:
        items: list[Value] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            below = None if path is None else (*path, len(items))
            value = self._value(event, below, depth + 1)
            if below is not None and not isinstance(value, _Unusable):
                self._document.lines[below] = _line(event.start_mark)
                items.append(value)
        return items

    def _fault(self, path: Path | None, what: str, event: yaml.Event) -> None:
        if path is not None:
            self._document.faults.append(Fault(path, what, _line(event.start_mark)))
