"""From AWS to the app's hands: every kind of value, however it is spelt, at the price of one fetch each."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lend
from tests.e2e.processes import Daemon, environment, running, short_folder

DOCUMENT = {"user": "app", "password": "päss wörd", "nested": {"ports": [5432, 5433]}}
BINARY = bytes(range(256))


@dataclass(frozen=True)
class Filled:
    """An account with a value of every kind."""

    account: AwsAccount
    old_id: str  # of the version of s/rotated before the current one
    arn: str  # of s/json


def fill(account: AwsAccount) -> Filled:
    """Store a value of every kind."""
    account.put_parameter("/p/secure", "secure-1")
    account.put_parameter("/p/local", "local-1", KeyId=account.create_key("alias/app"))
    account.put_parameter("/p/plain", "plain-1", "String")
    account.put_parameter("/p/list", "a,b,c", "StringList")
    account.put_parameter("/p/versioned", "first")
    account.client("ssm").label_parameter_version(Name="/p/versioned", ParameterVersion=1, Labels=["green"])
    account.put_parameter("/p/versioned", "second")
    account.put_parameter("/p/advanced", "a" * 5000, "String", Tier="Advanced")
    for leaf in ("one", "deep/two"):
        account.put_parameter(f"/p/tree/{leaf}", f"leaf {leaf}")
    account.put_secret("s/json", json.dumps(DOCUMENT))
    account.put_secret("s/binary", BINARY)
    account.put_secret("s/text", "no JSON at all")
    old_id = account.put_secret("s/rotated", "before")
    account.put_secret("s/rotated", "after")
    arn = str(account.client("secretsmanager").describe_secret(SecretId="s/json")["ARN"])
    account.fake.forget_requests()
    return Filled(account, old_id, arn)


SECRETS = {
    "secure": "ssm:/p/secure",
    "plain": "ssm:/p/plain",
    "list": "ssm:/p/list",
    "advanced": "ssm:/p/advanced",
    "local": {"ref": "ssm:/p/local", "decrypt": "local"},
    "document": "sm:s/json",
    "user": "sm:s/json#user",
    "port": "sm:s/json#/nested/ports/1",
    "nested": "sm:s/json#nested",
    "binary": "sm:s/binary",
    "text": "sm:s/text",
    "no-such-field": {"ref": "sm:s/text#x", "required": False},
    "version": "ssm:/p/versioned?version=1",
    "label": "ssm:/p/versioned?label=green",
    "previous": "sm:s/rotated?stage=AWSPREVIOUS",
    "current": "sm:s/rotated",
    "through-ssm": "ssm:/aws/reference/secretsmanager/s/json#password",
    "cloudformation": "{{resolve:secretsmanager:s/json:SecretString:password}}",
    "codebuild": "secrets-manager:s/json:password",
    "vals": "ref+awssecrets://s/json#/password",
    "vals-ssm": "ref+awsssm://p/secure",
}

EXPECTED = {
    "secure": b"secure-1",
    "plain": b"plain-1",
    "list": b"a,b,c",
    "advanced": b"a" * 5000,
    "local": b"local-1",
    "document": json.dumps(DOCUMENT).encode(),
    "user": b"app",
    "port": b"5433",
    "binary": BINARY,
    "text": b"no JSON at all",
    "version": b"first",
    "label": b"first",
    "previous": b"before",
    "current": b"after",
    "through-ssm": "päss wörd".encode(),
    "cloudformation": "päss wörd".encode(),
    "codebuild": "päss wörd".encode(),
    "vals": "päss wörd".encode(),
    "vals-ssm": b"secure-1",
    "pinned-id": b"before",
    "app/one": b"leaf one",
    "app/deep/two": b"leaf deep/two",
}


@pytest.fixture(scope="module")
def filled(lend_account: Lend) -> Iterator[Filled]:
    """Fill an account for the module."""
    with lend_account() as account:
        yield fill(account)


@pytest.fixture(scope="module")
def daemon(filled: Filled) -> Iterator[Daemon]:
    """Run one daemon for the module, with every value declared; it polls nothing while the tests run."""
    sections = {
        "secrets": {**SECRETS, "pinned-id": f"sm:s/rotated?version_id={filled.old_id}"},
        "trees": {"app": "ssm:/p/tree/"},
    }
    with short_folder() as folder, running(folder, sections, environment(filled.account)) as one:
        yield one


@pytest.mark.parametrize("name", EXPECTED)
def test_a_declared_value_is_what_aws_has(daemon: Daemon, name: str) -> None:
    """The bytes are AWS's own, nothing added."""
    answer = daemon.value(name)
    assert (answer.status, answer.body) == (200, EXPECTED[name])


def test_types_are_told(daemon: Daemon) -> None:
    """JSON, other text and bytes are told apart."""
    types = {name: daemon.value(name).headers["content-type"] for name in ("document", "nested", "text", "binary")}
    assert types == {
        "document": "application/json",
        "nested": "application/json",
        "text": "text/plain; charset=utf-8",
        "binary": "application/octet-stream",
    }


def test_what_is_known_of_a_value_is_told(daemon: Daemon, filled: Filled) -> None:
    """Name, canonical ref, version, region, labels; the value of a binary one in base64."""
    told = daemon.get("/v1/secrets/previous").json
    assert (told["name"], told["ref"]) == ("previous", "sm:s/rotated?stage=AWSPREVIOUS")
    assert (told["version"], told["labels"]) == (filled.old_id, ["AWSPREVIOUS"])
    assert (told["value"], told["region"], told["state"]) == ("before", filled.account.region, "fresh")
    assert "value" not in daemon.get("/v1/secrets/binary").json


def test_several_values_come_at_once(daemon: Daemon) -> None:
    """One request brings several of one moment; one that fails is named with its reason."""
    query = "&".join(f"name={quote(name)}" for name in ("user", "app/one", "binary"))
    together = daemon.get(f"/v1/values?{query}").json
    assert (together["user"], together["app/one"], list(together["binary"])) == ("app", "leaf one", ["base64"])
    failed = daemon.get("/v1/values?name=user&name=no-such-field&name=nobody")
    assert failed.status == 404
    assert {(each["name"], each["status"]) for each in failed.json["errors"]} == {
        ("no-such-field", 422),
        ("nobody", 404),
    }


def test_a_field_of_what_is_no_json_cannot_be_given(daemon: Daemon) -> None:
    """422, with the secret's name and what to do."""
    answer = daemon.value("no-such-field")
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["name"] == "no-such-field"
    assert answer.json["mend"]


def test_every_value_was_fetched_once(daemon: Daemon, filled: Filled) -> None:
    """However often and under however many spellings a value is declared, AWS was asked for it once."""
    fake = filled.account.fake
    whole = [name for request in fake.requests("secretsmanager") for name in request.names if request.kms_charges]
    assert sorted(whole) == ["s/binary", "s/json", "s/rotated", "s/rotated", "s/rotated", "s/text"]  # three versions
    assert not [request for request in fake.requests("ssm") if any("secretsmanager" in name for name in request.names)]
    daemon.wait_for("daemon_ready")
    decrypted = ["secure", "local", "version 1", "label", "one", "two"]
    assert fake.kms_charges() == len(whole) + len(decrypted)


def test_other_spellings_of_what_is_held_cost_nothing(daemon: Daemon, filled: Filled) -> None:
    """Asked for by its ARN, as ECS spells it, by a partial ARN, a held value comes from memory."""
    before = filled.account.fake.counts()
    assert daemon.resolve(filled.arn).json["value"] == json.dumps(DOCUMENT)
    assert daemon.resolve(f"{filled.arn}:user::").json["value"] == "app"
    assert daemon.resolve("sm:s/json#user").json["ref"] == "sm:s/json#user"
    parameter = f"arn:aws:ssm:{filled.account.region}:{filled.account.id}:parameter/p/plain"
    assert daemon.resolve(parameter).json["ref"] == "ssm:/p/plain"
    assert filled.account.fake.counts() == before


def test_the_metrics_agree_with_what_reached_aws(daemon: Daemon, filled: Filled) -> None:
    """For every operation, one for each attempt on the wire; and so do the KMS charges."""
    metrics = daemon.metrics()
    assert metrics.requests == filled.account.fake.counts()
    assert metrics.total("sidecar_kms_charges_total") == filled.account.fake.kms_charges()
    assert metrics.total("sidecar_ready") == 1


def test_both_listeners_say_that_it_is_ready(daemon: Daemon) -> None:
    """/readyz and /healthz are on the socket and on the ops listener; values are on the socket only."""
    for ask in (daemon.get, daemon.from_ops):
        assert (ask("/readyz").status, ask("/readyz").json["ready"]) == (200, True)
        assert ask("/healthz").status == 200
    for target in ("/v1/values/plain", "/v1/secrets", "/v1/status"):
        assert daemon.from_ops(target).status == 404
