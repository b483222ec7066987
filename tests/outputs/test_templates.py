import asyncio
import base64
import json
import subprocess
from io import StringIO

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from sidecar.outputs import templates
from sidecar.outputs.failures import NotYet, Unrendered
from sidecar.outputs.templates import Source, Unquotable
from tests.engine.world import Laboratory, laboratory
from tests.outputs.world import API, DB, LEAF, declare, reading

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), max_size=30)


class TestFilters:
    """What is quoted is read again as it was."""

    @given(TEXT)
    def test_dotenv(self, value: str) -> None:
        """By python-dotenv, where it may not expand."""
        read = dotenv_values(stream=StringIO(f"X={templates.quote_for_dotenv(value)}\n"), interpolate=False)
        assert (read["X"] or "").replace("\\$", "$") == value.replace("\\$", "$")

    def test_shell(self) -> None:
        """By a shell, whatever it means to one."""
        for value in ("it's", '"$(id)"`x`\\', "two\nlines", "", "-n", "é"):
            script = f"printf %s {templates.quote_for_shell(value)}"
            assert subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout == value.encode()

    def test_json_and_base64(self) -> None:
        """Text outside ASCII stays; bytes that are no text survive."""
        assert templates.write_json('ü"') == '"ü\\""'
        assert json.loads(templates.write_json({"a": [1, None]})) == {"a": [1, None]}
        assert base64.b64decode(templates.encode_base64(b"\xff\0".decode(errors="surrogateescape"))) == b"\xff\0"

    def test_what_cannot_be_quoted_is_refused(self) -> None:
        """A NUL byte nowhere, what is no text not in JSON; the text of the error quotes nothing."""
        with pytest.raises(Unquotable, match="NUL"):
            templates.quote_for_shell("a\0canary")
        with pytest.raises(Unquotable, match="NUL"):
            templates.quote_for_dotenv("\0")
        with pytest.raises(Unquotable, match="base64"):
            templates.write_json("\udcff")
        with pytest.raises(Unquotable, match="base64"):
            templates.write_json(object())


class TestMistakes:
    """What is told before anything is rendered."""

    def found(self, text: str) -> list[tuple[int, str]]:
        """Look for mistakes."""
        return [(each.line, each.what) for each in Source("t", text).mistakes(["db-password", "db"], ["app"])]

    def test_a_template_without_any(self) -> None:
        """Declared names, names below trees, and names that are only known later are fine."""
        assert (
            self.found("{{ secret('db#x') }}{{ secret('app/y') }}{{ tree('app') }}{{ secret(x) }}{{ x.y('z') }}") == []
        )

    def test_syntax(self) -> None:
        """With its line."""
        [(line, what)] = self.found("fine\n{{ secret('db' }}\n")
        assert (line, what.startswith("it is no template: ")) == (2, True)
        assert self.found("\n\n{{ x | nothing }}")[0][0] == 3

    def test_names_that_nothing_declares(self) -> None:
        """With the nearest that something does."""
        assert self.found("\n{{ secret('db-pasword') }}\n{{ tree('db') }}{{ secret_json('zzz') }}") == [
            (2, "want a name that stands under secrets or trees, got db-pasword; did you mean db-password?"),
            (3, "want a tree that stands under trees, got db"),
            (3, "want a name that stands under secrets or trees, got zzz"),
        ]

    def test_other_templates_are_out_of_reach(self) -> None:
        """There is no file but this one."""
        assert self.found("{% include '/etc/passwd' %}") == [(1, "a template cannot take in another one")]


def failed(lab: Laboratory, text: str) -> str:
    """Give what is said of a template that cannot be rendered."""
    with pytest.raises(Unrendered) as failure:
        Source("t", text).compiled().render(reading(lab))
    assert failure.value.__cause__ is None
    assert isinstance(failure.value.__context__, Unrendered | None)  # whose text is ours
    return str(failure.value)


@pytest.mark.looptime
class TestRender:
    """What comes out."""

    async def test_values_fields_and_trees(self) -> None:
        """As they are held, byte for byte; nothing is escaped, the last newline stays."""
        async with laboratory() as lab:
            lab.source.put(DB, b'{"user": "<app>", "port": 5432}')
            lab.source.put(API, b"\xff\0binary")
            lab.source.put(LEAF, b"leaf")
            declare(lab, db=DB, api=API)
            await asyncio.sleep(1)
            text = (
                "{{ secret_json('db').user }} {{ secret('db#port') }} {{ secret('api') }} {{ tree('app')['leaf'] }}\n"
            )
            assert Source("t", text).compiled().render(reading(lab)) == b"<app> 5432 \xff\0binary leaf\n"

    async def test_failures_tell_the_line_and_the_name_and_no_value(self) -> None:
        """Whatever goes wrong in it."""
        async with laboratory() as lab:
            lab.source.put(DB, b"canary")
            declare(lab, db=DB, api=API)
            await asyncio.sleep(1)
            why = {
                "\n{{ secret('api') }}": "t line 2: api: not_found",
                "\n\n{{ secret_json('db') }}": "t line 3: db: the value is not JSON",
                "{{ {}[secret('db')] }}": "t line 1: something that it asks for does not exist",
                "{{ ''.__class__.mro() }}": "t line 1: it does what a template may not",
                "{{ secret('db') + 1 }}": "t line 1: it fails with TypeError",
                "{{ (secret('db') ~ '\\x00') | shell }}": "t line 1: the value has a NUL byte, which can be quoted "
                "nowhere; use base64",
                "{% for i in range(9999) %}{{ 'x' * 9999 }}{% endfor %}": "t: it becomes longer than 4 MiB",
            }
            assert {text: failed(lab, text) for text in why} == why

    async def test_what_is_not_held_yet_is_waited_for(self) -> None:
        """That is no failure."""
        async with laboratory(polling=False) as lab:
            declare(lab, db=DB)
            with pytest.raises(NotYet, match="t line 2: db"):
                Source("t", "\n{{ secret('db') }}").compiled().render(reading(lab))
