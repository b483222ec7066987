import pytest

from sidecar.api import problems
from sidecar.api.problems import MethodNotAllowed, NoSuchName, Several, WaitEnded, problem, problem_answer, row_of
from sidecar.core import errors
from sidecar.core.errors import (
    BindError,
    ConfigError,
    NotFound,
    Overloaded,
    Problem,
    SidecarError,
    StoreLost,
    Throttled,
    Unreachable,
)

CLASSES = [
    kind
    for module in (errors, problems)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, SidecarError)
]


def test_every_error_that_a_request_can_meet_has_a_row_of_its_own_or_a_parents() -> None:
    """Only what never reaches a request is a plain fault."""
    unmapped = {kind for kind in CLASSES if kind is not Several and row_of(kind.__new__(kind)).status == 500}
    assert unmapped == {SidecarError, ConfigError, BindError, StoreLost, problems.Crashed}


def test_labels_are_closed_words() -> None:
    """They become the end of the problem's type."""
    assert problem(NoSuchName("x"))["type"] == "urn:sidecar:problem:no-such-name"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Throttled("x", retry_after=0.2), "1"),
        (Overloaded("x", retry_after=3.01), "4"),
        (Unreachable("x"), "5"),
        (Several({"a": Unreachable("x"), "b": Throttled("x", retry_after=9)}), "9"),
    ],
)
def test_what_may_be_better_later_says_when(error: SidecarError, seconds: str) -> None:
    """Whole seconds, at least one."""
    assert problem_answer(error).headers["Retry-After"] == seconds


@pytest.mark.parametrize("error", [NotFound("x"), WaitEnded("x"), Several({"a": Unreachable("x"), "b": NotFound("x")})])
def test_what_asking_again_does_not_mend_does_not(error: SidecarError) -> None:
    """Several count as their most lasting one."""
    assert "Retry-After" not in problem_answer(error).headers


def test_several_take_the_most_lasting_status() -> None:
    """404 before 503: asking again alone does not help."""
    error = Several({"a": Unreachable("down"), "b": NotFound("none")})
    told = problem(error)
    assert told["status"] == 404
    assert told["errors"] == [problem(Unreachable("down"), name="a"), problem(NotFound("none"), name="b")]


def test_the_method_that_is_not_taken_names_those_that_are() -> None:
    """By Allow, as RFC 9110 wants it."""
    assert problem_answer(MethodNotAllowed("GET, HEAD")).headers["Allow"] == "GET, HEAD"


def test_a_configuration_error_is_a_fault_here() -> None:
    """No request can cause one."""
    assert problem_answer(ConfigError([Problem("", "", "x")])).status == 500
