import pytest

from sidecar.core.errors import AccessDenied, Throttled, Unreachable, told_of


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("sm:prod/a: nobody answered", "sm:prod/a: nobody answered"),
        ("sm:prod/b: nobody answered (X from sm: y)", "sm:prod/a: nobody answered (X from sm: y)"),
        ("ssm:/b and 9 more: nobody answered", "sm:prod/a: nobody answered"),
        ("sm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:b-AbCdEf?via=x: no", "sm:prod/a: no"),
        ("role arn:aws:iam::123456789012:role/r: AWS refuses", "role arn:aws:iam::123456789012:role/r: AWS refuses"),
        ("GetParameters: no answer within 10.0 s", "GetParameters: no answer within 10.0 s"),
    ],
)
def test_what_values_share_is_told_as_each_ones_own(message: str, text: str) -> None:
    """Whatever other value a message begins with, it is not named to the readers of this one."""
    assert str(told_of("sm:prod/a", Unreachable(message))) == text


def test_the_rest_of_it_stays() -> None:
    """Kind, mend and times; the failure itself is left as it is for the others."""
    shared = Throttled("sm:b: too many", quota="sm.get", retry_after=3.0)
    told = told_of("sm:a", shared)
    assert isinstance(told, Throttled)
    assert (told.quota, told.retry_after, str(told), str(shared)) == ("sm.get", 3.0, "sm:a: too many", "sm:b: too many")
    assert told_of("sm:a", AccessDenied("sm:b: no", mend="Ask")).mend == "Ask"
    assert told_of("sm:b", shared) is shared
