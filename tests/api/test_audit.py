import structlog

from sidecar.core.access import Globs, Rule
from tests.api.served import DB, served
from tests.engine.fakes import ssm


async def audited(*targets: str, rule: Rule | None = None) -> list[tuple[str, str]]:
    """Give name and outcome of the lines that these requests leave."""
    async with served() as one:
        one.services.audit = True
        if rule:
            one.permit(rule)
        with structlog.testing.capture_logs() as logs:
            for target in targets:
                await one.get(target)
    lines = [line for line in logs if line["event"] == "secret_accessed"]
    assert all(line.keys() == {"event", "log_level", "uid", "gid", "pid", "name", "outcome"} for line in lines)
    assert "canary" not in str(logs)
    return [(line["name"], line["outcome"]) for line in lines]


async def test_each_access_leaves_a_line() -> None:
    """Name and outcome, whatever the way."""
    assert await audited(
        "/v1/values/db", "/v1/secrets/nope", "/v1/values?name=db&name=nope", "/v1/resolve?ref=ssm:/no"
    ) == [
        ("db", "ok"),
        ("nope", "no_such_name"),
        ("db", "ok"),
        ("nope", "no_such_name"),
        ("ssm:/no", "not_found"),
    ]


async def test_another_name_of_a_value_does_not_hide_how_it_ended() -> None:
    """The line has the reference that was asked for, whatever AWS calls it."""
    alias = ssm("/alias")
    async with served() as one:
        one.services.audit = True
        one.source.values[alias] = one.source.values[DB]
        with structlog.testing.capture_logs() as logs:
            await one.get("/v1/resolve?ref=ssm:/alias%23nope")
    lines = [(line["name"], line["outcome"]) for line in logs if line["event"] == "secret_accessed"]
    assert lines == [("ssm:/alias#nope", "bad_field")]


async def test_what_is_denied_leaves_one_too() -> None:
    """For these lines it is read the most."""
    assert await audited("/v1/values/api", rule=Rule(None, None, Globs(["db"]))) == [("api", "caller_denied")]


async def test_bad_names_and_lists_leave_none() -> None:
    """No secret was asked for; nor was a bad name worth writing down."""
    assert await audited("/v1/values/..", "/v1/secrets", "/healthz") == []


async def test_values_in_a_watch_leave_a_line_each() -> None:
    """Also when they cannot be shown."""
    async with served() as one:
        one.services.audit = True
        with structlog.testing.capture_logs() as logs:
            async with one.open("/v1/watch?values=1") as reader:
                await reader.readuntil(b"\n\n")
                one.change(DB, b"canary", "2")
                await reader.readuntil(b"\n\n")
    assert [line["name"] for line in logs if line["event"] == "secret_accessed"] == ["db"]


async def test_nothing_is_written_unless_it_is_wanted() -> None:
    """log.audit is off."""
    async with served() as one:
        with structlog.testing.capture_logs() as logs:
            await one.get("/v1/values/db")
    assert [line for line in logs if line["event"] == "secret_accessed"] == []
