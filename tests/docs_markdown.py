"""Read the documents as a reader does: their tables, links, headings and examples.

Knows Markdown only as far as the documents use it: pipe tables, fenced blocks, inline and reference links.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[1]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (.+?) -->\n\Z")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"`([^`]+)`")

Row = list[str]


@dataclass(frozen=True)
class Block:
    """A fenced block, with the comment that stands right before it ("" where none does)."""

    language: str
    mark: str
    text: str


@dataclass(frozen=True)
class Page:
    """One document."""

    path: Path

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text("utf-8")

    @property
    def name(self) -> str:
        """Its path in the repository."""
        return str(self.path.relative_to(ROOT))

    @property
    def blocks(self) -> list[Block]:
        """Every fenced block, in order."""
        text = self.text
        return [Block(found[1], _mark_before(text, found.start()), found[2]) for found in _FENCE.finditer(text)]

    @property
    def prose(self) -> str:
        """What stands outside of fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def links(self) -> list[str]:
        """The targets of all links."""
        return [inline or reference for inline, reference in _LINK.findall(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """The headings, as links name them."""
        return {_slug(heading) for heading in _HEADING.findall(self.prose)}

    def sections(self, level: str) -> Iterator[tuple[str, "Page | str"]]:
        """Give each heading of this level with what follows it, up to the next one."""
        parts = re.split(rf"^{level} (.+)$", self.text, flags=re.MULTILINE)
        yield from zip(parts[1::2], parts[2::2], strict=True)

    def rows(self, *head: str) -> list[Row]:
        """Give the rows of all tables that have this head; there must be one."""
        found = rows(self.text, *head)
        assert found, f"{self.name} has no table {head}"
        return found


def pages() -> list[Page]:
    """Give all documents."""
    single = (ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "helm" / "README.md")
    return [Page(path) for path in (*single, *sorted((ROOT / "docs").rglob("*.md")))]


def doc(name: str) -> Page:
    """Give one document of docs/."""
    return Page(ROOT / "docs" / name)


def rows(text: str, *head: str) -> list[Row]:
    """Give the rows of all tables in this text that have this head."""
    lines = text.splitlines()
    found: list[Row] = []
    for number, line in enumerate(lines):
        if _cells(line) == list(head):
            found += [_cells(row) for row in takewhile(lambda row: row.startswith("|"), lines[number + 2 :])]
    return found


def code(cell: str) -> list[str]:
    """Give what stands in backticks."""
    return _CODE.findall(cell)


def listed(cell: str) -> list[str]:
    """Give the items of a list with commas."""
    return [item.strip() for item in cell.split(", ") if item.strip()]


def _cells(line: str) -> Row:
    if not line.startswith("|"):
        return []
    return [cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1]]


def _mark_before(text: str, start: int) -> str:
    found = _MARK.search(text[:start])
    return found[1] if found else ""


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")
