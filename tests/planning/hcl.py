"""Read the part of Terraform's language that we write: blocks, objects, lists, strings with data sources in them."""

import json
import re
from dataclasses import dataclass
from typing import Any

Hcl = Any  # objects, lists and text

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z_][\w.-]*|[{}\[\]()=,])')
_TEMPLATE = re.compile(r"\$\$\{|%%\{|\$\{([^}]*)\}")


@dataclass(frozen=True)
class Block:
    """One block: what it is, and its arguments."""

    word: str
    kind: str
    label: str
    arguments: dict[str, Hcl]


@dataclass
class Reader:
    """Read tokens one after the other; `values` are what data sources give."""

    tokens: list[str]
    values: dict[str, str]

    def take(self, *expected: str) -> str:
        """Take the next token, which must be one of these."""
        token = self.tokens.pop(0)
        assert not expected or token in expected, f"{token} where {expected} should be"
        return token

    def blocks(self) -> list[Block]:
        """Read the file."""
        found = []
        while self.tokens:
            word, kind, label = self.take("data", "resource"), json.loads(self.take()), json.loads(self.take())
            self.take("{")
            arguments = {}
            while self.tokens[0] != "}":
                name = self.take()
                self.take("=")
                arguments[name] = self.value()
            self.take("}")
            found.append(Block(word, kind, label, arguments))
        return found

    def value(self) -> Hcl:
        """Read an expression."""
        token = self.take()
        if token == "jsonencode":
            self.take("(")
            inner = self.value()
            self.take(")")
            return inner
        if token == "{":
            return self._object()
        if token == "[":
            return self._list()
        return self._text(token) if token.startswith('"') else token

    def _object(self) -> Hcl:
        found = {}
        while self.tokens[0] != "}":
            name = self.take()
            self.take("=")
            found[json.loads(name) if name.startswith('"') else name] = self.value()
        self.take("}")
        return found

    def _list(self) -> Hcl:
        found = []
        while self.tokens[0] != "]":
            found.append(self.value())
            self.take(",")
        self.take("]")
        return found

    def _text(self, token: str) -> str:
        def known(match: re.Match[str]) -> str:
            return self.values[match[1]] if match[1] else match[0][1:]

        return _TEMPLATE.sub(known, json.loads(token))


def read(text: str, values: dict[str, str]) -> list[Block]:
    """Read a file, with what its data sources give; every character of it is looked at."""
    tokens = _TOKEN.findall(text)
    assert re.sub(r"\s", "", "".join(tokens)) == re.sub(r"\s", "", text)
    return Reader(tokens, values).blocks()
