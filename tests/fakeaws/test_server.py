"""The HTTP side, for what no SDK would send."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from sidecar.fakeaws.control import FakeAws


def test_unsigned_request_is_refused(fake_aws: FakeAws) -> None:
    """A browser gets AWS's answer to whoever does not sign."""
    with pytest.raises(HTTPError) as caught:
        urlopen(fake_aws.url)
    assert caught.value.status == 403
    assert json.loads(caught.value.read())["__type"] == "MissingAuthenticationTokenException"
    assert caught.value.headers["x-amzn-RequestId"]


@pytest.mark.parametrize(("command", "body"), [("storm", b"{}"), ("fault", b"{"), ("fault", b"[]")])
def test_bad_command_is_told(fake_aws: FakeAws, command: str, body: bytes) -> None:
    """A command that cannot be obeyed is 400, with a reason."""
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(f"{fake_aws.url}/_fake/{command}", body))
    assert caught.value.status == 400
    assert json.loads(caught.value.read())["error"]


def test_journal_is_readable_by_curl(fake_aws: FakeAws) -> None:
    """The journal needs no client: a GET with a query shows it."""
    with urlopen(f"{fake_aws.url}/_fake/requests?account=000000000009") as answer:
        assert json.loads(answer.read()) == {"counts": {}, "kms_charges": 0, "requests": []}
