import base64
from typing import ClassVar

import pytest

from sidecar.aws import Aws
from sidecar.core.errors import BadCiphertext, SecretError
from sidecar.core.ports import Route, Source
from sidecar.core.refs import Ref, SourceKind, parse
from sidecar.core.secret import Revision, Secret
from tests.aws.conformance import SourceConformance
from tests.aws.gates import OpenGate
from tests.aws_fixtures import AwsAccount

KMS = Route(SourceKind.KMS, "default")


def encrypted(aws: AwsAccount, plaintext: bytes, key: str, context: str = "") -> Ref:
    """Encrypt as `aws kms encrypt` does, and refer to what comes."""
    pairs = dict(pair.split("=") for pair in context.split(",") if pair)
    blob = aws.client("kms").encrypt(KeyId=key, Plaintext=plaintext, EncryptionContext=pairs)["CiphertextBlob"]
    return parse(f"kms:{base64.b64encode(blob).decode()}" + (f"?context={context}" if context else ""))


class CiphertextConformance(SourceConformance):
    """What the port promises of a value that is its own reference."""

    kind = SourceKind.KMS
    gaps: ClassVar = {
        **dict.fromkeys(
            (
                "test_does_not_find_what_is_not_there",
                "test_a_bad_ref_leaves_its_neighbours_alone",
                "test_a_deleted_value_is_not_found",
                "test_a_value_made_anew_is_another_version",
            ),
            "a ciphertext is in its reference: it cannot be missing or deleted; test_a_bad_one_… has its bad ones",
        ),
        **dict.fromkeys(
            (
                "test_a_change_is_another_version",
                "test_a_pinned_version_stays",
                "test_does_not_find_a_version_that_is_not_there",
            ),
            "another value is another reference: there are no versions to pick",
        ),
        "test_name_and_arn_are_one_value": "it has neither a name nor an ARN",
    }

    def put(self, account: AwsAccount, name: str, value: str) -> Ref:  # noqa: ARG002 -- it has no name
        """Encrypt it."""
        return encrypted(account, value.encode(), account.create_key())

    def remove(self, account: AwsAccount, name: str) -> None:
        """Leave it: it is nowhere but in its reference."""

    def arn(self, account: AwsAccount, name: str) -> str:  # noqa: ARG002 -- it has none
        """Give nothing."""
        return ""


class TestCiphertextsAgainstOurFake(CiphertextConformance):
    """Our own fake."""


class TestCiphertextsAgainstMiniStack(CiphertextConformance):
    """Another's fake."""

    @pytest.fixture
    def account(self, ministack: AwsAccount) -> AwsAccount:
        """Ask MiniStack."""
        return ministack


@pytest.fixture
def source(room: Aws) -> Source:
    """Give the source under test."""
    return room.source(KMS)


async def test_opens_what_kms_encrypted(source: Source, aws: AwsAccount, gate: OpenGate) -> None:
    """One Decrypt a ref; the version is of ciphertext and context, and a probe tells it for nothing."""
    key = aws.create_key()
    one, two = encrypted(aws, b"one", key), encrypted(aws, b"two", key, "app=web,env=prod")
    probed = await source.probe([one, two], gate)
    assert gate.calls == []
    fetched = await source.fetch([one, two], gate)
    assert [answer.plaintext.reveal() for answer in fetched.values() if isinstance(answer, Secret)] == [b"one", b"two"]
    assert gate.operations.count("Decrypt") == 2
    for ref in (one, two):
        told, brought = probed[ref], fetched[ref]
        assert isinstance(told, Revision)
        assert isinstance(brought, Secret)
        assert (told.version, told.ref) == (brought.revision.version, ref)
        assert brought.revision.region == aws.region


async def test_a_bad_one_leaves_its_neighbours_alone(source: Source, aws: AwsAccount, gate: OpenGate) -> None:
    """Altered by one bit, cut short or of a wrong context: one error each, by a short name, and nothing else fails."""
    good = encrypted(aws, b"good", aws.create_key(), "a=1")
    blob = good.ciphertext
    flipped = blob[:-1] + bytes([blob[-1] ^ 1])
    bad = [parse(f"kms:{base64.b64encode(odd).decode()}?context=a=1") for odd in (flipped, blob[:-5], b"\0" * 100)]
    bad.append(parse(f"kms:{base64.b64encode(blob).decode()}?context=a=2"))
    answers = await source.fetch([*bad, good], gate)
    assert isinstance(answers[good], Secret)
    for ref in bad:
        answer = answers[ref]
        assert isinstance(answer, BadCiphertext)
        assert ref.shown in str(answer)
        assert ref.id not in str(answer)


async def test_a_rotated_key_is_not_seen(source: Source, aws: AwsAccount, gate: OpenGate) -> None:
    """Old ciphertext opens as ever, and has the same version."""
    key = aws.create_key()
    ref = encrypted(aws, b"old", key)
    before = (await source.probe([ref], gate))[ref]
    aws.client("kms").rotate_key_on_demand(KeyId=key)
    answer = (await source.fetch([ref], gate))[ref]
    assert isinstance(before, Revision)
    assert isinstance(answer, Secret)
    assert (answer.plaintext.reveal(), answer.revision.version) == (b"old", before.version)


async def test_nobody_else_s_account_unless_allowed(room: Aws, aws: AwsAccount, gate: OpenGate) -> None:
    """Without `kms.allow_keys` the plaintext of another account's key is dropped."""
    room.identity("default").known_account = "999999999999"
    ref = encrypted(aws, b"theirs", aws.create_key())
    answer = (await room.source(KMS).fetch([ref], gate))[ref]
    assert isinstance(answer, SecretError)
    assert answer.label == "key_not_allowed"
