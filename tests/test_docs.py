"""What the documents say is so: facts are compared with the code, examples are run, links lead somewhere."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

import sidecar
from sidecar.accounts import SystemAccounts
from sidecar.api import problems, routes
from sidecar.api.problems import TYPE_PREFIX, Crashed, Several, problem, row_of
from sidecar.api.routing import Route
from sidecar.aws.errors import Asked, translate_item
from sidecar.aws.models import OPERATIONS as AWS_OPERATIONS
from sidecar.cli import INTERRUPTED, main
from sidecar.cli.exits import Exit
from sidecar.cli.tables import span
from sidecar.core import errors, prices
from sidecar.core.config.loading import load
from sidecar.core.files import FileState
from sidecar.core.freshness import State
from sidecar.core.ports import Priority
from sidecar.core.quotas import QUOTAS, default_limit
from sidecar.core.refs import parse_tree
from sidecar.core.spellings import parse_any
from sidecar.fakeaws.seed import daemon_section, parse_seed
from sidecar.fakeaws.weather import FaultKind
from sidecar.planning.plan import Wishes, build_plan
from sidecar.telemetry import (
    CacheResult,
    DataKeyResult,
    DataKeyUse,
    FileResult,
    HookResult,
    HttpRoute,
    KmsReason,
    Listener,
    Outcome,
    Refreshed,
    events,
)
from sidecar.telemetry.exposition import ENTRY_KINDS
from sidecar.telemetry.labels import OPERATIONS, RETRIED
from tests.docs_markdown import ROOT, Block, Page, code, doc, listed, pages, rows
from tests.exported import families
from tests.playground import Playground, playing

PAGES = pages()


class TestPages:
    """What holds for every page."""

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_every_link_leads_somewhere(self, page: Page) -> None:
        """Files that are there, and headings in them."""
        assert [link for link in page.links if not _leads_somewhere(page, link)] == []

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_every_series_that_is_named_exists(self, page: Page) -> None:
        """In tables, queries and alerts alike."""
        known = {sample for family in families() for sample in (family.name, *family.samples)}
        named = re.findall(r"\bsidecar_[a-z_]+\b", page.text)
        assert [name for name in named if name not in known] == []

    def test_every_page_is_listed(self) -> None:
        """The README leads to all of them."""
        readme = Page(ROOT / "README.md")
        reached = {(ROOT / link.partition("#")[0]).resolve() for link in readme.links if "://" not in link}
        assert [page.name for page in PAGES if not {page.path, page.path.parent} & (reached | {ROOT})] == []

    def test_the_changelog_knows_this_version(self) -> None:
        """Under its number, with the headings that operators look for."""
        changelog = Page(ROOT / "CHANGELOG.md")
        versions = [heading.split()[0] for heading, _ in changelog.sections("##")]
        headings = [heading for heading, _ in changelog.sections("###")]
        assert versions[0] == sidecar.__version__
        assert set(headings) <= {"Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"}


def _leads_somewhere(page: Page, link: str) -> bool:
    if link.startswith("https://"):
        return True
    path, _, anchor = link.partition("#")
    target = (page.path.parent / path).resolve() if path else page.path
    return target.exists() and (not anchor or anchor in Page(target).anchors)


class TestReadme:
    """The README's own facts."""

    readme = Page(ROOT / "README.md")

    def test_the_configuration_is_one(self) -> None:
        """The example by which people begin has no problem."""
        example = next(block.text for block in self.readme.blocks if block.text.startswith("secrets:"))
        assert set(_load(example).secrets) == {"db-password", "api-key"}

    def test_the_policy_has_known_actions(self) -> None:
        """Each is in the list of permissions."""
        policy = next(json.loads(block.text) for block in self.readme.blocks if block.language == "json")
        actions = {action for statement in policy["Statement"] for action in _as_list(statement["Action"])}
        assert actions <= _permissions()

    def test_every_target_of_make_is_there(self) -> None:
        """What the README tells to type can be typed."""
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert set(re.findall(r"\bmake ([a-z]+)`", self.readme.text)) <= set(targets)

    def test_every_command_is_named(self) -> None:
        """In the table of commands."""
        named = [code(row[0])[0].split()[1] for row in self.readme.rows("command", "does") if "sidecar" in row[0]]
        assert named == main.list_commands(click.Context(main))


class TestRepository:
    """What the README and the decisions say of the repository itself."""

    def test_pins_hold_hashes_and_no_addresses(self) -> None:
        """Every requirement is one version with its hashes, from whatever index there is."""
        for path in (ROOT / "requirements").glob("*.txt"):
            pins = path.read_text("utf-8").replace("\\\n", "").splitlines()
            assert [
                pin for pin in pins if not re.fullmatch(r"\S+==[^\s;]+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+", pin)
            ] == []

    def test_the_licence_is_apaches(self) -> None:
        """Version 2.0, as the package says."""
        assert re.match(r"\s+Apache License\n\s+Version 2\.0", (ROOT / "LICENSE").read_text("utf-8"))

    def test_make_installs_what_is_missing_and_runs_the_main_job(self, tmp_path: Path) -> None:
        """Once: when nothing has changed since, it only runs."""
        shutil.copy(ROOT / "Makefile", tmp_path)
        shutil.copy(ROOT / "pyproject.toml", tmp_path)
        shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
        *installs, main_job = _make_run(tmp_path)
        (tmp_path / ".venv").mkdir()
        (tmp_path / ".venv/installed").touch()
        assert any("--require-hashes --no-deps" in line for line in installs)
        assert main_job == ".venv/bin/sidecar dev"
        assert _make_run(tmp_path) == [main_job]


def _make_run(folder: Path) -> list[str]:
    """Give what `make run` would do in this folder."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", "-n", "run"], cwd=folder, env=environ, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _load(text: str) -> "sidecar.core.config.models.Config":
    return load(file=("example", text), environ={}, accounts=SystemAccounts())


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


class TestHttp:
    """docs/http.md."""

    page = doc("http.md")
    head = ("method", "path", "listeners", "query", "request headers", "statuses", "content types")

    def test_every_route_is_described_as_it_is(self) -> None:
        """Method, path, listeners, parameters, headers, statuses and types are the route table's."""
        assert self.page.rows(*self.head) == [_route_row(route) for route in routes.UNIX]

    def test_every_problem_is_listed(self) -> None:
        """Type, status and title of each error that a request can meet."""
        told = {code(row[0])[0]: (row[1], row[2]) for row in self.page.rows("type", "status", "title")}
        expected = dict(map(_problem_row, _problem_kinds()))
        assert told == expected | {"several": (told["several"][0], "Some secrets cannot be given")}

    def test_every_member_of_a_description_is_explained(self) -> None:
        """As an example of the page shows them."""
        explained = {name for row in self.page.rows("member", "meaning") for name in code(row[0])}
        example = next(block.text for block in self.page.blocks if '"confirmed_at"' in block.text)
        assert explained == {*re.findall(r'^    "(\w+)":', example, re.MULTILINE), "value_base64"}


def _route_row(route: Route) -> list[str]:
    listeners = "unix, ops" if route.path in {ops.path for ops in routes.OPS} else "unix"
    query = ", ".join(f"`{parameter.name}`" + "…" * parameter.repeated for parameter in route.parameters)
    statuses = ", ".join(map(str, sorted((200, *route.refusals))))
    types = ", ".join(route.content_types)
    return [route.method, f"`{route.path}`", listeners, query, ", ".join(route.headers), statuses, types]


def _problem_kinds() -> Iterator[type[errors.SidecarError]]:
    """Give every class of error that a request can meet: those that have a row of their own or a parent's."""
    fault = row_of(errors.SidecarError("x"))
    for module in (errors, problems):
        for kind in vars(module).values():
            if not isinstance(kind, type) or not issubclass(kind, errors.SidecarError) or kind in _NOT_ALONE:
                continue
            if kind is Crashed or row_of(kind("x")) != fault:
                yield kind


_NOT_ALONE = {errors.ConfigError, Several}
"""Errors of errors."""


def _problem_row(kind: type[errors.SidecarError]) -> tuple[str, tuple[str, str]]:
    error = kind("x")
    row = row_of(error)
    return str(problem(error)["type"]).removeprefix(TYPE_PREFIX), (str(int(row.status)), row.title)


class TestMetrics:
    """docs/metrics.md."""

    page = doc("metrics.md")

    def test_every_series_is_listed_as_it_is(self) -> None:
        """Name, type and labels of each; of the process's own the names."""
        told = {
            (code(name)[0], kind, frozenset(code(labels)))
            for name, kind, labels, _ in self.page.rows("series", "type", "labels", "meaning")
        }
        process = {(code(row[0])[0], row[1], frozenset[str]()) for row in self.page.rows("series", "type", "meaning")}
        assert told | process == {(family.name, family.kind, family.labels) for family in families()}

    def test_every_label_value_is_listed(self) -> None:
        """Of the labels that have closed vocabularies."""
        told = {row[0]: row[1] for row in self.page.rows("label", "values")}
        expected: dict[str, list[str]] = {
            "`outcome`": list(Outcome),
            "`reason` of `sidecar_retries_total`": list(RETRIED),
            "`use` of `sidecar_data_keys_total`": list(DataKeyUse),
            "`result` of `sidecar_data_keys_total`": list(DataKeyResult),
            "`reason` of `sidecar_kms_charges_total`": list(KmsReason),
            "`result` of `sidecar_cache_requests_total`": list(CacheResult),
            "`result` of `sidecar_refreshes_total`": list(Refreshed),
            "`result` of `sidecar_file_writes_total`": list(FileResult),
            "`result` of `sidecar_file_hooks_total`": list(HookResult),
            "`state` of `sidecar_files`": list(FileState),
            "`kind`": list(ENTRY_KINDS),
            "`state`": [state.name.lower() for state in State],
            "`priority`": [priority.name.lower() for priority in Priority],
            "`listener`": list(Listener),
            "`quota`": [*sorted(QUOTAS), "or `service.Operation`"],
        }
        assert {label: listed(told[label]) for label in expected} == {
            label: [str(value) for value in values] for label, values in expected.items()
        }
        operations = told["`service` and `operation`"].partition(": ")[2]
        assert listed(operations) == [" ".join(operation) for operation in OPERATIONS]
        assert {HttpRoute.OTHER.value} == set(code(told["`route`"]))


class TestCommands:
    """docs/commands.md."""

    page = doc("commands.md")

    def test_every_option_of_every_command_is_listed(self) -> None:
        """And no other."""
        told = {
            code(heading)[0].split(maxsplit=1)[1]: _options_told(str(text))
            for heading, text in self.page.sections("##")
            if heading.startswith("`sidecar ")
        }
        assert {_plain(name): options for name, options in told.items()} == dict(_commands())

    def test_every_exit_code_is_listed(self) -> None:
        """And the one of Ctrl-C."""
        told = [int(row[0]) for row in self.page.rows("code", "meaning")]
        assert told == [*Exit, INTERRUPTED]


def _plain(name: str) -> str:
    """Leave the arguments away."""
    return " ".join(word for word in name.split() if word.islower())


def _options_told(text: str) -> set[str]:
    return {code(row[0])[0].split()[0] for row in rows(text, "option", "meaning")}


def _commands() -> Iterator[tuple[str, set[str]]]:
    """Give every command, with its options but `--help`."""
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if isinstance(command, click.Group):
            for part, below in command.commands.items():
                yield f"{name} {part}", _options(below)
        elif command:
            yield name, _options(command)


def _options(command: click.Command) -> set[str]:
    return {max(param.opts, key=len) for param in command.params if isinstance(param, click.Option)}


class TestReferences:
    """docs/references.md."""

    page = doc("references.md")

    def test_every_spelling_becomes_what_is_said(self) -> None:
        """Row by row."""
        told = [(code(spelt)[0], code(canonical)[0]) for spelt, canonical in self.page.rows("spelling", "canonical")]
        assert [(spelt, str(parse_any(spelt))) for spelt, _ in told] == told

    def test_every_spelling_of_a_tree_becomes_what_is_said(self) -> None:
        """Row by row."""
        told = [(code(row[0])[0], code(row[1])[0]) for row in self.page.rows("spelling of a tree", "canonical")]
        assert [(spelt, str(parse_tree(spelt))) for spelt, _ in told] == told

    def test_what_is_refused_is(self) -> None:
        """Without a word of it in the message."""
        for text, _ in self.page.rows("text", "why"):
            with pytest.raises(errors.BadRef):
                parse_any(code(text)[0])


class TestOperations:
    """docs/operations.md."""

    page = doc("operations.md")

    def test_every_event_is_listed(self) -> None:
        """And no other."""
        told = [code(row[0])[0] for row in self.page.rows("event", "level", "written when")]
        assert sorted(told) == sorted(value for name, value in vars(events).items() if name.isupper())

    def test_every_state_is_explained(self) -> None:
        """In the order of the metric's numbers."""
        told = [row[0] for row in self.page.rows("state", "is when", "a caller gets")]
        assert told == [state.name.lower() for state in State]

    def test_every_timer_has_its_default(self) -> None:
        """As the configuration's reference has them."""
        told = {
            f"`cache.{code(name)[0]}`": default.split(",")[0].replace("24h", "1d")
            for name, default, *_ in self.page.rows("timer", "default", "from", "then")
            if "on_demand" not in name
        }
        known = {row[0]: code(row[2]) for row in doc("configuration.md").rows("key", "kind", "default", "why")}
        assert {name: default for name, default in told.items() if known[name] not in ([], [default])} == {}


class TestAws:
    """docs/aws.md."""

    page = doc("aws.md")

    def test_every_quota_has_its_default(self) -> None:
        """In the regions that are named, and elsewhere."""
        told = {code(name)[0]: _limits_told(default) for name, default, _ in self.page.rows(*_QUOTA_HEAD)}
        assert told.keys() == QUOTAS
        for quota, limits in told.items():
            assert {region: default_limit(quota, region) for region in limits} == limits

    def test_every_error_becomes_what_is_said(self) -> None:
        """And is definitive or not."""
        for codes, service, becomes, definitive in self.page.rows("code", "from", "becomes", "definitive"):
            for aws_code in code(codes):
                message = (re.findall(r'"(.+)"', codes) or [""])[0]
                failure = translate_item(aws_code, message, _asked("ssm" if service == "any" else service))
                assert failure.label == code(becomes)[0], aws_code
                assert isinstance(failure, errors.SecretError) == (definitive == "yes"), aws_code

    def test_every_operation_has_its_permission(self) -> None:
        """An operation that is used is one that somebody must grant."""
        used = {
            f"{service.replace('-', '')}:{_OTHERWISE.get(operation, operation)}"
            for service, operations in AWS_OPERATIONS.items()
            for operation in operations
        }
        assert used | _OF_S3 == _permissions()

    def test_the_prices_are_those_of_the_metric(self) -> None:
        """With the date on which they were looked up."""
        assert prices.PRICED_ON in self.page.text
        for service, operations, price in self.page.rows("service", "operation", "price"):
            for operation in code(operations):
                assert prices.of_request(code(service)[0], operation) == pytest.approx(float(price) / 10_000)


_OTHERWISE = {"HeadObject": "GetObject"}
"""Operations that IAM calls otherwise."""

_OF_S3 = {"s3:GetObjectVersion", "s3:ListBucket"}
"""Actions that an operation takes beside its own: for a version, and to see what is not there."""

_QUOTA_HEAD = ("quota", "default", "what uses it")


def _limits_told(cell: str) -> dict[str, float]:
    """Read `20000 in us-east-2, eu-west-2; 10000 elsewhere`."""
    limits: dict[str, float] = {}
    for part in cell.split("; "):
        number, _, regions = part.partition(" in ")
        limits |= dict.fromkeys(listed(regions) or ["af-south-1"], float(number.split()[0]))
    return limits


def _asked(service: str) -> Asked:
    return Asked("sm:db", service, "Get", "eu-west-1", "default")


def _permissions() -> set[str]:
    return {code(row[0])[0] for row in doc("aws.md").rows("action", "on", "for")}


class TestQuotas:
    """docs/quotas.md."""

    page = doc("quotas.md")

    @pytest.mark.parametrize(("quota", "kind"), [("sm.describe", "sm:"), ("ssm.get", "ssm:/")])
    def test_every_row_is_what_the_plan_says(self, quota: str, kind: str) -> None:
        """Twenty secrets a pod, row by row."""
        told = self.page.rows("pods", "refresh", "requests/h", "$/month", f"of `{quota}`", "cold start")
        assert told == [_planned_row(quota, kind, *row[:2]) for row in told]
        assert [(row[0], row[1]) for row in told] == [
            (pods, refresh) for pods in ("10", "100", "1,000") for refresh in ("1m", "5m", "15m")
        ]

    def test_every_quota_has_a_way(self) -> None:
        """Of those that can be charged."""
        assert {name for row in self.page.rows("quotas", "way") for name in code(row[0])} == QUOTAS


def _planned_row(quota: str, kind: str, pods: str, refresh: str) -> list[str]:
    secrets = ", ".join(f's{number}: "{kind}s{number}"' for number in range(20))
    config = _load(f"secrets: {{{secrets}}}\ncache: {{refresh: {refresh}}}")
    plan = build_plan(config, lambda _: "eu-west-1", Wishes(int(pods.replace(",", ""))))
    steady = next(each.steady / each.limit for each in plan.quotas if each.quota == quota)
    start = span(plan.start_seconds)
    return [pods, refresh, f"{plan.hourly:,.0f}", f"{plan.monthly_dollars:,.2f}", f"{steady:.2%}", start]


class TestFake:
    """docs/fakeaws.md."""

    page = doc("fakeaws.md")

    def test_the_seed_is_one(self) -> None:
        """Every section of the example can be planted, and configures a daemon."""
        example = next(block.text for block in self.page.blocks if block.language == "yaml")
        seed = parse_seed(example)
        assert {place.kind.value for place in seed.items} == {"keys", "parameters", "secrets", "objects"}
        assert set(_load(daemon_section(example) or "").secrets) == {"db-password"}

    def test_every_command_is_listed(self) -> None:
        """As the fake itself lists them."""
        source = (ROOT / "sidecar/fakeaws/controls.py").read_text("utf-8")
        told = {code(row[0])[0] for row in self.page.rows("command", "arguments", "does")}
        assert told == set(re.findall(r'^ {12}"([a-z-]+)": ', source, re.MULTILINE))

    def test_every_kind_of_fault_is_listed(self) -> None:
        """And what comes back."""
        told = {kind for row in self.page.rows("kind", "what comes back") for kind in code(row[0])}
        assert told == set(FaultKind)


class TestVerification:
    """docs/verification.md."""

    rows = doc("verification.md").rows("#", "what", "shown by")

    def test_every_row_names_what_shows_it(self) -> None:
        """No row is empty."""
        assert [row[0] for row in self.rows if not code(row[2])] == []

    def test_every_test_that_is_named_exists(self) -> None:
        """By file and name; a benchmark by its file."""
        named = {name for row in self.rows for name in code(row[2]) if name.startswith(("tests/", "bench/"))}
        assert sorted(name for name in named if not _exists(name)) == []

    def test_whatever_is_named_is_a_test_or_a_benchmark(self) -> None:
        """No row hides behind other words."""
        named = {name for row in self.rows for name in code(row[2])}
        assert [name for name in named if not name.startswith(("tests/", "bench/", ".ci/", "make "))] == []


def _exists(name: str) -> bool:
    file, *path = name.split("::")
    if not (ROOT / file).exists():
        return False
    body: list[ast.stmt] = ast.parse((ROOT / file).read_text("utf-8")).body if path else []
    for step in path:
        found = [node for node in body if isinstance(node, _DEFINITIONS) and node.name == step]
        if not found:
            return False
        body = found[0].body
    return True


_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


_STEP = re.compile(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_ONCE = re.compile(r"runs once (\S+) has changed")


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- runs" in page.text], ids=lambda page: page.name)
def test_examples_print_what_is_shown(page: Page) -> None:
    """Pasted one after the other into a shell beside `sidecar dev`, each prints what the page shows; … is anything."""
    blocks = page.blocks
    with playing() as playground:
        tags = {name: playground.tag(name) for block in blocks for name in _ONCE.findall(block.mark)}
        for block, following in zip(blocks, [*blocks[1:], Block("", "", "")], strict=True):
            for name in _ONCE.findall(block.mark):
                playground.wait_for_another(name, tags[name])
            if block.mark.startswith("runs"):
                _RUN[block.language](playground, block, following)


def _run_console(playground: Playground, block: Block, _following: Block) -> None:
    for command, shown in _STEP.findall(block.text):
        _compare(command, playground.run("bash", "-c", command), shown)


def _run_python(playground: Playground, block: Block, following: Block) -> None:
    assert following.mark == "prints"
    _compare(block.text, playground.run(sys.executable, "-c", block.text), following.text)


_RUN: dict[str, Callable[[Playground, Block, Block], None]] = {"console": _run_console, "python": _run_python}


def _compare(command: str, printed: str, shown: str) -> None:
    pattern = re.escape(shown.rstrip("\n")).replace("…", ".*")
    assert re.fullmatch(pattern, printed), f"{command}\nprints\n{printed}\nbut is shown with\n{shown}"
