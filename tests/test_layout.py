"""The tests mirror the program: whoever opens a module knows where its tests are, and the other way round."""

import ast
from pathlib import Path

import sidecar

PROGRAM = Path(sidecar.__file__).parent
TESTS = Path(__file__).parent

ELSEWHERE = {
    "accounts.py": "two look-ups in the system's own tables; tests/e2e/test_access.py uses both",
    "client/errors.py": "names of what goes wrong; tests/client/test_blocking.py meets each",
    "core/outlook.py": "holds what tests/planning/test_budget.py and tests/planning/test_plan.py work out",
    "core/ports.py": "contracts; tests/aws/conformance.py and tests/fleet/conformance.py hold their promises",
    "engine/engine.py": "puts the room together; every test of it begins with tests/engine/world.py",
    "engine/policies.py": "tests/engine/test_declarations.py sees what becomes of the settings",
    "household.py": "puts rooms together, for the daemon and for `sidecar exec`; tests/e2e runs both as processes",
    "planning/purposes.py": "names and tables; tests/planning/test_grants.py meets each of them",
    "telemetry/exposition.py": "tests/telemetry/test_metrics.py reads what it renders",
}
"""Modules without tests of their own name, and why; those that define nothing need no reason."""

ACROSS = {
    "api/test_fuzz.py": "whatever may come over the socket",
    "engine/test_invariants.py": "the engine as a whole, whatever happens",
    "bench": "the benchmarks, which are no part of the program",
    "deploy": "what ships beside the program: the chart, the rules, the dashboard",
    "planning/test_enforcement.py": "the printed policies, enforced on what the daemon asks",
    "planning/test_evaluator.py": "who judges the policies there",
    "test_docs.py": "the documents",
    "test_layout.py": "the tests themselves",
    "e2e": "the program as a whole, as a process",
}
"""Tests that belong to no module."""


def modules() -> list[str]:
    """Name the program's modules, by their paths in it."""
    return [path.relative_to(PROGRAM).as_posix() for path in sorted(PROGRAM.rglob("*.py"))]


def defines_something(module: str) -> bool:
    """Tell whether there is a function or class in a module; a charter has none."""
    tree = ast.parse((PROGRAM / module).read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in tree.body)


def has_tests(module: str) -> bool:
    """Tell whether the tests of a module are where they belong."""
    path = Path(module)
    return (TESTS / path.parent / f"test_{path.stem.strip('_')}.py").exists()


def has_module(tests: Path) -> bool:
    """Tell whether tests belong to a module, all of it or one side of it, as test_guard_cancellation.py does."""
    stems = [Path(module).stem.strip("_") for module in modules() if Path(module).parent == tests.parent]
    tested = tests.stem.removeprefix("test_")
    return any(tested == stem or tested.startswith(f"{stem}_") for stem in stems)


def test_every_module_has_tests_of_its_name() -> None:
    """Or is listed with the reason, but not both; a module that has gone takes its excuse along."""
    without = [module for module in modules() if defines_something(module) and not has_tests(module)]
    assert without == sorted(ELSEWHERE)


def test_all_tests_have_a_module() -> None:
    """What is of no module is listed."""
    found = [path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py"))]
    strays = [path for path in found if not has_module(path) and not {str(path), path.parts[0]} & ACROSS.keys()]
    assert strays == []
    assert all((TESTS / name).exists() for name in ACROSS)


def test_folders_of_tests_are_packages() -> None:
    """Tests of the same name in two folders do not get in each other's way."""
    folders = {path.parent for path in TESTS.rglob("test_*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
