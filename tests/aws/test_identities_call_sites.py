"""Every request to AWS passes a gate, and each is one attempt on the wire: nothing is sent past the guard."""

import ast
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

import sidecar
from sidecar.aws.identities import Question
from sidecar.aws.models import OPERATIONS
from sidecar.core.errors import Failure, SecretError, Transient
from sidecar.core.ports import Call
from tests.aws.gates import OpenGate
from tests.aws.test_identities import identity
from tests.aws_fixtures import AwsAccount

T = TypeVar("T")

PROGRAM = Path(sidecar.__file__).parent

SENDERS = {
    "aws/identities.py Identity._attempt": "what a gate runs; `Identity.ask` hands it to one",
    "aws/sessions.py Sessions._assume": "roles are assumed by the SDK's own refresh: counted by a hook, not paced",
}
"""All that may ask for a client of AWS's, and why."""

GATES = {
    "core/ports.py Gate": "the contract",
    "engine/guard.py Guard": "admits, times out, retries, counts",
    "engine/guard.py GuardGate": "one check's way to the guard",
    "engine/guard.py _Once": "the same without retries",
    "aws/dynamodb.py _Straight": "a fleet's store: its requests use no quota that is leased, and are counted",
}
"""All that can let a request through, and why."""

BY_THE_SDK = ("sts", "AssumeRoleWithWebIdentity")
"""Sent by the SDK's own chain, unsigned: the fake cannot tell whose it is. `tests/aws/test_sessions.py` counts it."""

ASKED = sorted(
    {(service, operation) for service, operations in OPERATIONS.items() for operation in operations} - {BY_THE_SDK}
)


def functions(node: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Give every function and class below a node, by its name with those around it."""
    for child in ast.iter_child_nodes(node):
        name = inside
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{inside}.{child.name}".strip(".")
            yield name, child
        yield from functions(child, name)


def everywhere(is_one: Callable[[ast.AST], bool]) -> set[str]:
    """Name the functions and classes of the program of which this is true."""
    modules = {
        path.relative_to(PROGRAM).as_posix(): ast.parse(path.read_text("utf-8")) for path in PROGRAM.rglob("*.py")
    }
    return {f"{module} {name}" for module, tree in modules.items() for name, node in functions(tree) if is_one(node)}


def asks_for_client(node: ast.AST) -> bool:
    """Tell whether a function asks `Sessions` for a client, or makes one."""
    wanted = {"client", "create_client"}
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in wanted
        for each in ast.walk(node)
    )


def lets_through(node: ast.AST) -> bool:
    """Tell whether a class has a gate's `send`."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(each, ast.AsyncFunctionDef) and each.name == "send" for each in node.body
    )


def test_who_asks_for_a_client() -> None:
    """Only what a gate runs, and what looks for credentials; the SDK's own client is made in one place."""
    senders = {each for each in everywhere(asks_for_client) if not each.startswith("fakeaws/")}
    assert senders == {*SENDERS, "aws/sessions.py Sessions._build"}


def test_who_lets_requests_through() -> None:
    """The guard, and one that is no part of the app's traffic."""
    assert everywhere(lets_through) == set(GATES)


@dataclass
class ClosedGate:
    """Lets nothing through."""

    calls: int = 0

    async def send(self, _call: Call, _attempt: Callable[[], Awaitable[T]]) -> T:
        """Say no."""
        self.calls += 1
        raise Transient("closed")

    async def bide(self, turn: Awaitable[T]) -> T:
        """Wait."""
        return await turn

    def once(self) -> "ClosedGate":
        """Stay closed."""
        return self


def ask(service: str, operation: str) -> Question[None]:
    """Ask for an operation with the least that it takes."""
    model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    shape = model.operation_model(operation).input_shape
    parameters = least(shape) if shape else {}
    assert isinstance(parameters, dict)
    return Question(service, operation, "eu-west-1", parameters, operation, lambda _answer: None)


def least(shape: Shape) -> object:
    """Make the smallest value that the SDK takes for one of its shapes."""
    if isinstance(shape, StructureShape):
        return {name: least(shape.members[name]) for name in shape.required_members}
    if isinstance(shape, MapShape):
        return {"made-up": least(shape.value)}
    if isinstance(shape, ListShape):
        return [least(shape.member)]
    makers: dict[str, object] = {"blob": b"made-up", "integer": 1, "long": 1, "boolean": True}
    return makers.get(shape.type_name, "made-up-and-of-twenty-letters")


@pytest.mark.parametrize(("service", "operation"), ASKED)
async def test_nothing_passes_a_closed_gate(aws: AwsAccount, service: str, operation: str) -> None:
    """Whatever the daemon may ask of AWS."""
    who, gate = identity(aws.url), ClosedGate()
    async with who.sessions:
        with pytest.raises(Transient, match="closed"):
            await who.ask(ask(service, operation), gate)
    assert (gate.calls, aws.fake.counts()) == (1, {})


@pytest.mark.parametrize("fault", ["500", "503", "throttle", "outage"])
@pytest.mark.parametrize(("service", "operation"), ASKED)
async def test_each_failure_is_one_attempt_on_the_wire(
    aws: AwsAccount, gate: OpenGate, service: str, operation: str, fault: str
) -> None:
    """The SDK would try again after each of these: its own retries are off, for every operation."""
    aws.fake.fault(fault)
    who = identity(aws.url)
    failure: Failure | None = None
    async with who.sessions:
        try:
            await who.ask(ask(service, operation), gate)
        except (SecretError, Transient) as error:
            failure = error
    assert isinstance(failure, Transient)
    assert len(gate.calls) == 1
    assert list(aws.fake.counts().values()) == [1]
