"""One request on its way."""

import random

import pytest

from sidecar.fakeaws.visit import Visit
from sidecar.fakeaws.weather import Caller, Denial, Weather
from sidecar.fakeaws.wire import AwsError

ARN = "arn:aws:ssm:eu-west-1:111111111111:parameter/a/b"


def _visit(weather: Weather) -> Visit:
    caller = Caller("111111111111", "key", "arn:aws:iam::111111111111:user/me")
    return Visit(caller, "ssm", "GetParameter", "eu-west-1", weather, lambda: 0.0, random.Random(0))


@pytest.mark.parametrize("resource", ["*", ARN, "/a/*", "arn:*"])
def test_denied_by_arn_or_name(resource: str) -> None:
    """A denial names its resource by ARN or plainly."""
    visit = _visit(Weather(denials=[Denial("ssm:Get*", resource)]))
    with pytest.raises(AwsError) as caught:
        visit.demand("ssm:GetParameter", ARN)
    assert ARN in caught.value.message
    visit.demand("ssm:PutParameter", ARN)


def test_quota_is_of_the_callers_account() -> None:
    """A charge that the quota has no room for is throttled."""
    visit = _visit(Weather(limits={("111111111111", "ssm.get"): 1.0}))
    visit.charge("ssm.get")
    with pytest.raises(AwsError, match="ThrottlingException"):
        visit.charge("ssm.get")
