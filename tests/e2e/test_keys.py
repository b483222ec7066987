"""What is wrong with a KMS key, as an app and an operator are told it, whichever service stood between."""

import base64
from collections.abc import Mapping
from typing import Final

from sidecar.core.refs import parse
from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Start
from tests.e2e.processes import Daemon

PREFIX: Final = "urn:sidecar:problem:"
WAYS: Final = ("kms", "ssm", "sm", "local")
"""By KMS itself, behind Parameter Store, behind Secrets Manager, and by `decrypt: local`."""

SAYS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "Disabled": ("key-disabled",) * 4,
    "PendingDeletion": ("key-pending-deletion",) * 4,
    "PendingImport": ("key-pending-import",) * 4,
    "Unavailable": ("key-store-unavailable",) * 4,
    "shut-out": ("key-policy-denies", "key-policy-denies", "key-denied", "key-policy-denies"),
    "denied": ("key-denied",) * 4,
}
"""What each way tells of a key in this state; Secrets Manager does not say whose policy it was."""

USER: Final = "User: arn:aws:sts::111122223333:assumed-role/r/s is not authorized to perform: kms:Decrypt on "
MESSAGES: Final[Mapping[str, tuple[str, str]]] = {
    "grant": ("grant-missing", f"{USER}resource: arn:aws:kms:eu-west-1:111122223333:key/1 as no grant allows it"),
    "foreign": ("key-other-account", f"{USER}resource: arn:aws:kms:eu-west-1:444455556666:key/1"),
    "elsewhere": ("key-wrong-region", f"{USER}this resource because the resource does not exist in this Region"),
}
"""What AWS says where the fake has no such state: the words of its own refusals, behind Parameter Store."""


def plant(aws: AwsAccount, state: str) -> dict[str, dict[str, object]]:
    """Store a value in each way under a key of its own, and refer to them."""
    key = aws.create_key(f"alias/{state}")
    blob = aws.client("kms").encrypt(KeyId=key, Plaintext=b"v")["CiphertextBlob"]
    aws.put_parameter(f"/{state}", "v", KeyId=key)
    aws.put_parameter(f"/local/{state}", "v", KeyId=key)
    aws.put_secret(state, "v", KmsKeyId=key)
    return {
        f"{state}/kms": {"ref": f"kms:{base64.urlsafe_b64encode(blob).decode()}", "required": False},
        f"{state}/ssm": {"ref": f"ssm:/{state}", "required": False},
        f"{state}/sm": {"ref": f"sm:{state}", "required": False},
        f"{state}/local": {"ref": f"ssm:/local/{state}", "required": False, "decrypt": "local"},
    }


def spoil(aws: AwsAccount, state: str) -> None:
    """Bring the key of a state into it."""
    if state == "shut-out":
        aws.fake.shut_out(f"alias/{state}", "*", region=aws.region)
    elif state == "denied":
        aws.fake.deny("kms:Decrypt", f"alias/{state}")
    else:
        aws.fake.set_key_state(f"alias/{state}", state, region=aws.region)


def told(daemon: Daemon, name: str) -> tuple[str, str]:
    """Give the problem's type and mend of a value that is refused."""
    answer = daemon.value(name, Prefer="wait=5")
    assert (answer.status, answer.json["name"]) == (403, name)
    return str(answer.json["type"]).removeprefix(PREFIX), str(answer.json["mend"])


def test_each_state_is_told_as_that(aws: AwsAccount, start: Start) -> None:
    """Through KMS, Parameter Store, Secrets Manager and `decrypt: local`: a type and a mend of its own, one line each.

    What heals is served; nothing of a ciphertext is logged.
    """
    secrets: dict[str, dict[str, object]] = {}
    for state in SAYS:
        secrets |= plant(aws, state)
    for name, (_, message) in MESSAGES.items():
        aws.put_parameter(f"/{name}", "v")
        secrets[name] = {"ref": f"ssm:/{name}", "required": False}
        aws.fake.fault("access-denied", service="ssm", name=f"/{name}", message=message)
    for state in SAYS:
        spoil(aws, state)
    expected = {f"{state}/{way}": kind for state, kinds in SAYS.items() for way, kind in zip(WAYS, kinds, strict=True)}
    expected |= {name: kind for name, (kind, _) in MESSAGES.items()}
    quotas = {"share": "100%", "limits": {"ssm.get": 10_000}}  # one bad key fails a whole batch, which is halved
    daemon = start(secrets=secrets, quotas=quotas, cache={"refresh": "2s", "negative_ttl": "1s"})
    shown = {name: parse(str(spec["ref"])).shown for name, spec in secrets.items()}
    for name, kind in expected.items():
        assert daemon.wait_for("check_failed", ref=shown[name])["why"] == kind.replace("-", "_"), name
    mends: dict[str, str] = {}
    for name, kind in expected.items():
        if kind != "key-store-unavailable":  # that may be over in a moment: a caller waits for it
            found, mend = told(daemon, name)
            assert found == kind, name
            if name != "denied/local":  # which has more to say
                assert mends.setdefault(kind, mend) == mend
    described = {each["name"]: each for each in daemon.get("/v1/secrets").json["secrets"]}
    assert {name: each["reason"].replace("_", "-") for name, each in described.items()} == expected
    mends["key-store-unavailable"] = described["Unavailable/sm"]["mend"]
    assert len({*mends.values()} - {""}) == len(set(expected.values()))

    assert all(str(spec["ref"])[:60] not in daemon.log.text for name, spec in secrets.items() if name.endswith("kms"))

    aws.fake.set_key_state("alias/Disabled", "Enabled", region=aws.region)
    for way in WAYS:
        daemon.wait_for("secret_recovered", ref=shown[f"Disabled/{way}"], after="key_disabled")
        assert daemon.value(f"Disabled/{way}").body == b"v"
    assert len(daemon.events("check_failed")) == len(expected)
