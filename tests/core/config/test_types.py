"""Each type of the configuration reads its text, takes what code made, and repeats no secret when it refuses."""

import pytest
from pydantic import TypeAdapter, ValidationError

from sidecar.core.config.types import Duration, ExternalId, Glob, Interval, PerSecret, PerSecretChoice, QuotaName, Url


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4566", "https://vpce-1.ssm.eu-west-1.vpce.amazonaws.com", "http://[::1]:1/x"]
)
def test_urls(url: str) -> None:
    """An endpoint is http or https, with a host."""
    assert TypeAdapter(Url).validate_python(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:4566",
        "ftp://x",
        "http://",
        "http://:80",
        "http://u:hunter2@x",
        "http://x:hunter2",
        "http://a b",
        "http://x:0",
    ],
)
def test_other_urls_are_not_repeated(url: str) -> None:
    """A URL is where people put passwords."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Url).validate_python(url)
    assert str(caught.value.errors()[0]["ctx"]["error"]) == (
        "want http://host or https://host, with a port where needed and without user or password"
    )


def test_an_external_id_is_not_repeated() -> None:
    """Some keep it secret."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(ExternalId).validate_python("hunter2 ")
    assert str(caught.value.errors()[0]["ctx"]["error"]) == "want 2 to 1224 letters, digits and _+=,.@:/-"


def test_what_code_made_is_taken_as_it_is() -> None:
    """Seconds are seconds; the bounds hold all the same."""
    assert TypeAdapter(Duration).validate_python(0.5) == 0.5
    with pytest.raises(ValidationError, match="want at least 1s, got 500ms"):
        TypeAdapter(Interval).validate_python(0.5)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("auto", PerSecret.AUTO),
        ("on", PerSecret.ON),
        ("true", PerSecret.ON),
        ("off", PerSecret.OFF),
        ("false", PerSecret.OFF),
    ],
)
def test_on_may_have_become_true_on_its_way(text: str, choice: PerSecret) -> None:
    """A template that reads YAML and prints it again makes true of an unquoted on."""
    assert TypeAdapter(PerSecretChoice).validate_python(text) is choice


def test_globs_are_any_text_in_one_line() -> None:
    """Even with spaces and brackets, but without control characters."""
    assert TypeAdapter(Glob).validate_python("a [b-c]*?é") == "a [b-c]*?é"
    with pytest.raises(ValidationError):
        TypeAdapter(Glob).validate_python("a\nb")


def test_quotas_have_a_row_or_are_an_operation_s_own() -> None:
    """A slip in a quota's name would be a limit that nothing obeys."""
    assert [TypeAdapter(QuotaName).validate_python(name) for name in ("ssm.get", "sts.AssumeRole")]
    with pytest.raises(ValidationError, match=r"want one of kms\.ecc, .*, or service\.Operation, got ssm\.path2"):
        TypeAdapter(QuotaName).validate_python("ssm.path2")
