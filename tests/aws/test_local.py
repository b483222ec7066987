import base64

import pytest

from sidecar.aws import Aws
from sidecar.core.errors import Undecryptable
from sidecar.core.ports import Decrypt, Route
from sidecar.core.refs import Ref, SourceKind, parse
from sidecar.core.secret import Secret
from tests.aws.gates import OpenGate
from tests.aws.scripted import ScriptedAws

REF = Ref(SourceKind.SSM, "/app/db")
ARN = "arn:aws:ssm:eu-west-1:111111111111:parameter/app/db"
LOCAL = Route(SourceKind.SSM, "default", Decrypt.LOCAL)


def told(value: str, arn: str = ARN) -> dict[str, object]:
    """Make what Parameter Store says of a SecureString."""
    kind = {"Name": "/app/db", "ARN": arn, "Type": "SecureString", "Version": 1, "LastModifiedDate": 1.5}
    return {"Parameters": [{**kind, "Value": value}], "InvalidParameters": []}


async def test_asks_with_the_parameters_context(scripted_room: Aws, script: ScriptedAws, gate: OpenGate) -> None:
    """The ciphertext goes to KMS under the context that Parameter Store encrypted it with; no key is named."""
    blob = base64.b64encode(b"\x01\x02\x02\x00ciphertext").decode()
    script.say("GetParameters", told(blob))
    script.say("Decrypt", {"KeyId": "arn:aws:kms:eu-west-1:999999999999:key/x", "Plaintext": "b3BlbmVk"})
    answer = (await scripted_room.source(LOCAL).fetch([REF], gate))[REF]
    assert isinstance(answer, Secret)
    assert answer.plaintext.reveal() == b"opened"
    assert script.asked[-1] == ("Decrypt", {"CiphertextBlob": blob, "EncryptionContext": {"PARAMETER_ARN": ARN}})


@pytest.mark.parametrize("value", ["not base64!", "kms:alias/aws/ssm:plain"])
async def test_what_is_no_ciphertext_is_not_sent_to_kms(
    scripted_room: Aws, script: ScriptedAws, gate: OpenGate, value: str
) -> None:
    """Garbage is Undecryptable, said plainly and not quoted."""
    script.say("GetParameters", told(value))
    answer = (await scripted_room.source(LOCAL).fetch([REF], gate))[REF]
    assert isinstance(answer, Undecryptable)
    assert str(REF) in str(answer)
    assert value not in str(answer)
    assert gate.operations == ["GetParameters"]


async def test_asks_kms_where_the_parameter_is(scripted_room: Aws, script: ScriptedAws, gate: OpenGate) -> None:
    """A parameter of another region is under a key of that region."""
    elsewhere = ARN.replace("eu-west-1", "us-east-1")
    blob = base64.b64encode(b"\x01\x02\x02\x00ciphertext").decode()
    script.say("GetParameters", told(blob, elsewhere))
    script.say("Decrypt", {"KeyId": "arn:aws:kms:us-east-1:111111111111:key/x", "Plaintext": "b3BlbmVk"})
    await scripted_room.source(LOCAL).fetch([parse(elsewhere)], gate)
    assert (gate.calls[-1].operation, gate.calls[-1].scope.region) == ("Decrypt", "us-east-1")
