import pytest

from sidecar.aws import Aws
from sidecar.core.errors import AccessDenied, Unintelligible
from sidecar.core.quotas import Charge, Scope
from tests.aws.gates import OpenGate
from tests.aws.scripted import ScriptedAws


def quota(service: str, code: str, name: str, value: float, **more: object) -> dict[str, object]:
    """Make a quota as AWS tells it."""
    arn = f"arn:aws:servicequotas:eu-west-1:333333333333:{service}/{code}"
    return {"ServiceCode": service, "QuotaCode": code, "QuotaName": name, "Value": value, "QuotaArn": arn, **more}


PER_SECOND = {"PeriodValue": 1, "PeriodUnit": "SECOND"}
SYMMETRIC = quota("kms", "L-6E3AF000", "Cryptographic operations (symmetric) request rate", 5500.0, Period=PER_SECOND)
KEYS = quota("kms", "L-C2F1777E", "Customer Master Keys (CMKs)", 100_000.0)
GET = quota(
    "secretsmanager", "L-1", "Rate of GetSecretValue API requests", 600_000, Period=PER_SECOND | {"PeriodValue": 60}
)


async def test_reads_every_page_of_every_service(script: ScriptedAws, scripted_room: Aws, gate: OpenGate) -> None:
    """The quotas that are ours, per second, and the account they belong to; the rest is nobody's business."""
    script.say(
        "ListServiceQuotas",
        {"Quotas": [KEYS], "NextToken": "more"},
        {"Quotas": [SYMMETRIC]},
        {"Quotas": []},
        {"Quotas": [GET]},
    )
    scope, limits = await scripted_room.limits("default", gate)
    assert (scope, limits) == (Scope("333333333333", "eu-west-1"), {"kms.symmetric": 5500.0, "sm.get": 10_000.0})
    assert [asked for _, asked in script.asked] == [
        {"ServiceCode": "kms", "MaxResults": 100},
        {"ServiceCode": "kms", "MaxResults": 100, "NextToken": "more"},
        {"ServiceCode": "ssm", "MaxResults": 100},
        {"ServiceCode": "secretsmanager", "MaxResults": 100},
    ]
    assert {charge for call in gate.calls for charge in call.charges} == {Charge("service-quotas.ListServiceQuotas")}


async def test_a_page_that_comes_again_is_the_last(script: ScriptedAws, scripted_room: Aws, gate: OpenGate) -> None:
    """A token that leads to itself ends the walk."""
    script.say("ListServiceQuotas", {"Quotas": [SYMMETRIC], "NextToken": "same"})
    _, limits = await scripted_room.limits("default", gate)
    assert limits == {"kms.symmetric": 5500.0}
    assert len(script.asked) == 6


async def test_a_role_without_the_permission_is_refused(
    script: ScriptedAws, scripted_room: Aws, gate: OpenGate
) -> None:
    """AWS's no travels as ours."""
    script.say("ListServiceQuotas", script.error("AccessDeniedException"))
    with pytest.raises(AccessDenied, match="quotas of kms"):
        await scripted_room.limits("default", gate)


@pytest.mark.parametrize("answer", [{}, {"Quotas": [{**SYMMETRIC, "Value": None}]}])
async def test_an_answer_without_quotas_is_none(
    script: ScriptedAws, scripted_room: Aws, gate: OpenGate, answer: dict[str, object]
) -> None:
    """A proxy's page, or a quota without its number, changes nothing."""
    script.say("ListServiceQuotas", answer)
    with pytest.raises(Unintelligible):
        await scripted_room.limits("default", gate)
