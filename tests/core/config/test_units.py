"""The configuration's small words are read exactly, and what is wrong is said with what would be right."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.config import units
from sidecar.core.config.units import Address, Unwanted
from sidecar.core.settling import Wait


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("7d", 604800),
        ("0s", 0),
        ("1.5m", 90),
        ("3650d", 315360000),
    ],
)
def test_reads_durations(text: str, seconds: float) -> None:
    """A duration is a number and a unit."""
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "1h30m", "-1s", "1 s", "5M", "1e3s", "٣s", "5m\n", "inf", "10 minutes"]
)
def test_refuses_what_is_no_duration(text: str) -> None:
    """A bare number has no unit, and a unit is never guessed."""
    with pytest.raises(Unwanted, match="want a duration such as 250ms, 30s, 5m, 1h or 7d, got "):
        units.parse_duration(text)


def test_bounds_durations() -> None:
    """More than ten years is a slip."""
    with pytest.raises(Unwanted, match="want at most 3650d, got 3651d"):
        units.parse_duration("3651d")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (90, "90s"), (300, "5m"), (86400, "1d"), (1e-7, "0s"), (1e5, "100000s")],
)
def test_prints_durations(seconds: float, text: str) -> None:
    """A duration is printed in the largest unit that keeps it whole."""
    assert units.duration_text(seconds) == text


@given(st.integers(0, 3_000_000), st.sampled_from(["ms", "s", "m", "h"]))
def test_printed_durations_read_as_the_same(count: int, unit: str) -> None:
    """Print then parse is identity."""
    seconds = units.parse_duration(f"{count % 80000}{unit}")
    assert units.parse_duration(units.duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "fraction"), [("10%", 0.1), ("0.1", 0.1), ("100%", 1), ("1", 1), ("2.5%", 0.025), (".5", 0.5)]
)
def test_reads_shares(text: str, fraction: float) -> None:
    """A share is a percentage or a fraction."""
    assert units.parse_share(text) == fraction


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("0%", "want more than 0% and at most 100%, got 0%"),
        ("101%", "want more than 0% and at most 100%, got 101%"),
        ("10", "want more than 0% and at most 100%, got 10"),
        ("ten", "want a part such as 10% or 0.1, got ten"),
        ("-1%", "want a part such as 10% or 0.1, got -1%"),
        ("nan", "want a part such as 10% or 0.1, got nan"),
    ],
)
def test_refuses_what_is_no_share(text: str, want: str) -> None:
    """Nothing, more than all, and what is no number."""
    with pytest.raises(Unwanted, match=f"^{re.escape(want)}$"):
        units.parse_share(text)


@pytest.mark.parametrize(("text", "dollars"), [("$5/month", 5.0), ("$0.50/month", 0.5), ("$1200/month", 1200.0)])
def test_reads_and_prints_budgets(text: str, dollars: float) -> None:
    """A budget is dollars a month, and is printed so."""
    assert units.parse_budget(text) == dollars
    assert units.parse_budget(units.budget_text(dollars)) == dollars


@pytest.mark.parametrize(
    "text", ["", "5", "$5", "$5/year", "$0/month", "-$5/month", "$5 / month", f"${'9' * 400}/month"]
)
def test_refuses_what_is_no_budget(text: str) -> None:
    """The currency and the time are never guessed, and nothing is not a budget."""
    with pytest.raises(Unwanted, match=r"want dollars a month, more than none, such as \$5/month, got "):
        units.parse_budget(text)


def test_prints_shares() -> None:
    """A share is printed as a percentage, without the noise of floats."""
    assert [units.share_text(part) for part in (0.1, 0.07, 1)] == ["10%", "7%", "100%"]


@pytest.mark.parametrize("text", ["0660", "660", "0o660"])
def test_reads_modes_in_octal(text: str) -> None:
    """A mode means the same with its leading zero and without."""
    assert units.parse_mode(text) == 0o660
    assert units.mode_text(0o660) == "0660"


@pytest.mark.parametrize("text", ["", "0668", "4755", "rw-rw----", "6", "0x1ff"])
def test_refuses_other_modes(text: str) -> None:
    """A socket needs no set-user-id bit, and a mode is not guessed from one digit."""
    with pytest.raises(Unwanted, match='want three octal digits such as "0660", got '):
        units.parse_mode(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9102", Address("127.0.0.1", 9102)),
        ("[::1]:9102", Address("::1", 9102)),
        ("localhost:0", Address("localhost", 0)),
        ("0.0.0.0:65535", Address("0.0.0.0", 65535)),
    ],
)
def test_reads_and_prints_addresses(text: str, address: Address) -> None:
    """An address has a host, in brackets where it holds colons, and a port; it prints as it is read."""
    assert units.parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "9102", ":9102", "::1:9102", "localhost", "localhost:", "http://x:1", "a:b"])
def test_refuses_other_addresses(text: str) -> None:
    """A port alone does not say who may connect."""
    with pytest.raises(Unwanted, match="want host:port such as "):
        units.parse_address(text)


def test_bounds_ports() -> None:
    """Ports end at 65535."""
    with pytest.raises(Unwanted, match="want a port of at most 65535, got localhost:65536"):
        units.parse_address("localhost:65536")


def test_reads_accounts_as_numbers_or_names() -> None:
    """Digits are a number, all else a name for the system to know."""
    assert [units.parse_account(text) for text in ("0", "1000", "app", "svc_a.b-c@corp", "host$")] == [
        0,
        1000,
        "app",
        "svc_a.b-c@corp",
        "host$",
    ]


@pytest.mark.parametrize("text", ["", "-1", "a b", "a:b", "4294967295", "99999999999999999999"])
def test_refuses_other_accounts(text: str) -> None:
    """The highest number means nobody to the system, and names have no spaces."""
    with pytest.raises(Unwanted):
        units.parse_account(text)


def test_reads_how_changes_settle() -> None:
    """Quiet and most, or the quiet alone; it is spelt with both, and the pattern for editors takes all of it."""
    assert units.parse_wait("500ms:30s") == Wait(0.5, 30.0)
    assert units.parse_wait("2s") == Wait() == Wait(2.0, 8.0)
    assert units.wait_text(Wait(2.0, 60.0)) == "2s:1m"
    assert all(re.fullmatch(units.WAIT_PATTERN, text) for text in ("2s", "2s:30s"))


@pytest.mark.parametrize("text", ["", ":", "2s:", ":2s", "5", "2s:3s:4s", "5s:2s"])
def test_refuses_other_ways_to_settle(text: str) -> None:
    """Both are durations, and the most is no less than the quiet."""
    with pytest.raises(Unwanted, match=r"want a (quiet and a longest time|longest time)"):
        units.parse_wait(text)


def test_reads_counts_rates_and_switches() -> None:
    """Numbers are plain, switches are any of YAML's words."""
    assert units.parse_count("12") == 12
    assert [units.parse_rate(text) for text in ("40", "0.5", "1e3")] == [40, 0.5, 1000]
    assert [units.parse_switch(text) for text in ("true", "Yes", "ON", "false", "no", "off")] == [True] * 3 + [
        False
    ] * 3


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "9" * 19])
def test_refuses_other_counts(text: str) -> None:
    """A count is whole and at least 1."""
    with pytest.raises(Unwanted, match="want a whole number of at least 1, got "):
        units.parse_count(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "1e999", "x"])
def test_refuses_other_rates(text: str) -> None:
    """A rate is finite and above 0."""
    with pytest.raises(Unwanted, match="want a number above 0, per second, got "):
        units.parse_rate(text)


def test_refuses_other_switches() -> None:
    """A number is no switch."""
    with pytest.raises(Unwanted, match="want true or false, got 1"):
        units.parse_switch("1")


def test_bounds_socket_paths_in_bytes() -> None:
    """The system's limit of 107 counts bytes, not characters."""
    assert units.parse_unix_path("a" * 107) == "a" * 107
    with pytest.raises(Unwanted, match="at most 107 bytes, which is all that a Unix socket can have, got 108"):
        units.parse_unix_path("é" * 54)


@pytest.mark.parametrize("text", ["", "run/", "a\0b"])
def test_refuses_other_socket_paths(text: str) -> None:
    """A socket has a name, and no NUL in it."""
    with pytest.raises(Unwanted, match="want the path of a socket, got "):
        units.parse_unix_path(text)


def test_shows_little_of_a_wrong_value() -> None:
    """A wrong value is cut short and made printable; of what is no text only the kind is told."""
    assert units.shown("x" * 100) == "x" * 39 + "…"
    assert units.shown("a\nb") == "'a\\nb'"
    empty: tuple[object, ...] = (None, "", {}, [])
    assert [units.shown(value) for value in empty] == ["nothing", "nothing", "a mapping", "a list"]
    assert units.kind_of("hunter2") == "text"
