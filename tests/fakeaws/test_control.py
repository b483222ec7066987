"""The client that steers a fake."""

import pytest

from sidecar.fakeaws.control import FakeAws, Started, command, parse_start


def test_one_line_says_where_it_serves() -> None:
    """The line of a started fake is read, its absence is an error."""
    assert parse_start(b'{"url": "http://x", "pid": 1, "ca": null}\n') == Started("http://x", None)
    with pytest.raises(ChildProcessError):
        parse_start(b"")


def test_command_runs_this_interpreter() -> None:
    """The fake runs in the interpreter that starts it."""
    assert command("--port", "0")[1:] == ["-m", "sidecar.fakeaws", "--port", "0"]


def test_accounts_are_steered_apart(fake_aws: FakeAws) -> None:
    """`of` narrows to one account, and keeps the rest."""
    one = fake_aws.of("600000000001")
    assert (one.url, one.ca, one.account) == (fake_aws.url, fake_aws.ca, "600000000001")
    assert (one.requests(), one.counts(), one.kms_charges()) == ([], {}, 0)
