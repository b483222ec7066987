"""Who may read what, asked by real processes of several users and groups: the kernel says who they are."""

import json
import os
import pwd
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.api.users import as_user, needs_root
from tests.aws_fixtures import AwsAccount
from tests.e2e.conftest import Lend, Start
from tests.e2e.processes import Daemon, environment, running, short_folder

pytestmark = needs_root

DBA, OPS, PUBLIC, STRANGER = 54_001, 54_002, 54_003, 54_004
OPERATORS = 55_001
RULES = [
    {"uid": DBA, "allow": ["db-*", "app/*"]},
    {"group": OPERATORS, "allow": ["*"], "admin": True},
    {"uid": PUBLIC, "allow": ["ssm:/public/*"]},
    {"uid": "nobody", "allow": ["api"]},
]

IMPORTS = "import json, sys\nfrom sidecar.client import UnixConnection"
ASK = """
answers = []
for method, target, body in {questions!r}:
    connection = UnixConnection({socket!r}, 30)
    connection.request(method, target, body)
    response = connection.getresponse()
    answers.append((response.status, response.read().decode()))
    connection.close()
print(json.dumps(answers))
"""

Question = tuple[str, str] | tuple[str, str, str]


class Caller:
    """Somebody who asks from a process of their own."""

    def __init__(self, daemon: Daemon, uid: int, gid: int | None = None, groups: Sequence[int] = ()) -> None:
        self._daemon = daemon
        self._uid = uid
        self._gid = gid
        self._groups = groups

    def ask(self, *questions: Question) -> list[tuple[int, str]]:
        """Ask all these from one process; give status and body of each."""
        full = [(*question, None)[:3] for question in questions]
        code = ASK.format(questions=full, socket=str(self._daemon.socket))
        printed = as_user(self._uid, code, imports=IMPORTS, gid=self._gid, groups=self._groups)
        return [(status, body) for status, body in json.loads(printed)]

    def statuses(self, *questions: Question) -> list[int]:
        """Ask all these; give the statuses."""
        return [status for status, _ in self.ask(*questions)]


@pytest.fixture(scope="module")
def daemon(lend_account: Lend) -> Iterator[Daemon]:
    """Run a daemon with rules, whose socket everybody may open, and which writes accesses down."""
    with lend_account() as account, short_folder() as folder:
        for name in ("/db/password", "/api", "/app/feature", "/public/motd", "/private"):
            account.put_parameter(name, f"value of {name}")
        sections: dict[str, object] = {
            "secrets": {"db-password": "ssm:/db/password", "api": "ssm:/api"},
            "trees": {"app": "ssm:/app/"},
            "access": RULES,
            "listen": {"unix": {"path": str(folder / "s"), "mode": "0666"}, "ops": "127.0.0.1:0"},
            "log": {"level": "info", "format": "json", "audit": True},
        }
        with running(folder, sections, environment(account)) as one:
            yield one


def test_a_rule_by_uid(daemon: Daemon) -> None:
    """Reads what its globs match, by name and by any spelling of the reference, and nothing else; is no admin."""
    dba = Caller(daemon, DBA)
    assert dba.statuses(
        ("GET", "/v1/values/db-password"),
        ("GET", "/v1/values/app/feature"),
        ("GET", "/v1/resolve?ref=ssm:/db/password"),
        ("GET", "/v1/watch?name=api"),
        ("GET", "/v1/resolve?ref=ssm:/api"),
        ("GET", "/v1/resolve?ref=ssm:/public/motd"),
        ("GET", "/v1/values?name=db-password&name=api"),
        ("POST", "/v1/refresh", '{"names": ["db-password"]}'),
        ("POST", "/v1/refresh", '{"names": ["api"]}'),
        ("POST", "/v1/refresh", "{}"),
    ) == [200, 200, 200, 403, 403, 403, 403, 200, 403, 403]
    (_, listed), (_, status) = dba.ask(("GET", "/v1/secrets"), ("GET", "/v1/status"))
    assert {secret["name"] for secret in json.loads(listed)["secrets"]} == {"db-password", "app/feature"}
    assert "quotas" not in json.loads(status)


def test_nothing_is_learnt_from_a_refusal(daemon: Daemon) -> None:
    """What is forbidden and what does not exist have the same answer, but for the name that was asked."""
    forbidden, unknown, deep = Caller(daemon, DBA).ask(
        ("GET", "/v1/values/api"), ("GET", "/v1/values/xyz"), ("GET", "/v1/secrets/nobody/has/this")
    )
    assert forbidden[0] == 403
    assert forbidden == unknown == deep


@pytest.mark.parametrize(
    ("gid", "groups"), [(OPERATORS, ()), (OPS, (55_009, OPERATORS))], ids=["main group", "supplementary group"]
)
def test_a_rule_by_group(daemon: Daemon, gid: int, groups: Sequence[int]) -> None:
    """An operator, by whichever group, reads everything, has everything refreshed and sees the quotas."""
    operator = Caller(daemon, OPS, gid, groups)
    *answers, (_, status) = operator.ask(
        ("GET", "/v1/values/api"),
        ("GET", "/v1/values/db-password"),
        ("GET", "/v1/resolve?ref=ssm:/private"),
        ("POST", "/v1/refresh", "{}"),
        ("GET", "/v1/status"),
    )
    assert [answer[0] for answer in answers] == [200, 200, 200, 200]
    assert json.loads(status)["quotas"]


def test_a_rule_by_reference(daemon: Daemon) -> None:
    """A glob over canonical references opens those on demand, however they are spelt, and no declared name."""
    assert Caller(daemon, PUBLIC).statuses(
        ("GET", "/v1/resolve?ref=ssm:/public/motd"),
        ("GET", "/v1/resolve?ref=%7B%7Bresolve:ssm:/public/motd%7D%7D"),
        ("GET", "/v1/resolve?ref=ssm:/private"),
        ("GET", "/v1/resolve?ref=ssm:/api"),
        ("GET", "/v1/values/api"),
    ) == [200, 200, 403, 403, 403]


def test_a_failure_that_values_share_names_no_other(aws: AwsAccount, start: Start) -> None:
    """In an outage a batch fails as a whole: who may read one value is not told what else there is."""
    aws.fake.fault("outage")
    secrets = {f"{kind}-{which}": f"{kind}:/prod/{which}" for kind in ("ssm", "sm") for which in ("mine", "theirs")}
    rules = [{"uid": os.geteuid(), "allow": ["*-mine"]}]
    daemon = start(ready=False, secrets=secrets, access=rules, cache={"refresh": "1s"})
    for name, ref in secrets.items():
        daemon.wait_for("check_failed", ref=ref)
        assert daemon.value(name, Prefer="wait=1").status == (503 if name.endswith("mine") else 403)
    for target in ("/v1/values/sm-mine", "/v1/values/ssm-mine", "/v1/secrets", "/v1/status"):
        told = daemon.get(target).body.decode()
        assert "mine" in told
        assert "theirs" not in told


def test_a_rule_by_a_users_name(daemon: Daemon) -> None:
    """`uid: nobody` is whoever has that name on this system."""
    nobody = Caller(daemon, pwd.getpwnam("nobody").pw_uid)
    assert nobody.statuses(("GET", "/v1/values/api"), ("GET", "/v1/values/db-password")) == [200, 403]


def test_whom_no_rule_names(daemon: Daemon) -> None:
    """Reads nothing, sees nothing; root is no exception. Probes are for all."""
    questions = (("GET", "/v1/values/api"), ("GET", "/v1/watch?name=api"), ("GET", "/readyz"))
    assert Caller(daemon, STRANGER).statuses(*questions) == [403, 403, 200]
    assert daemon.value("api").status == 403
    (_, listed), (_, status) = Caller(daemon, STRANGER).ask(("GET", "/v1/secrets"), ("GET", "/v1/status"))
    assert json.loads(listed) == {"secrets": []}
    assert json.loads(status)["secrets"] == []


def test_accesses_are_written_down(daemon: Daemon) -> None:
    """Who, which name, how it ended."""
    Caller(daemon, DBA).ask(("GET", "/v1/values/db-password"), ("GET", "/v1/values/api"))
    daemon.wait_for("secret_accessed", uid=DBA, name="db-password", outcome="ok")
    denied = daemon.wait_for("secret_accessed", uid=DBA, name="api")
    assert (denied["outcome"], denied["gid"]) == ("caller_denied", DBA)


def test_the_sockets_mode_and_group_let_in(aws: AwsAccount, start: Start, folder: Path) -> None:
    """Without rules whoever may open the socket is admin; who may not cannot even ask."""
    aws.put_parameter("/a", "v")
    unix = {"path": str(folder / "s"), "mode": "0660", "group": OPERATORS}
    daemon = start(secrets={"a": "ssm:/a"}, listen={"unix": unix, "ops": None})
    member = Caller(daemon, OPS, OPS, (OPERATORS,))
    assert member.statuses(("GET", "/v1/values/a"), ("POST", "/v1/refresh")) == [200, 200]
    tried = "try:\n    UnixConnection({!r}, 30).connect()\nexcept PermissionError:\n    print('kept out')"
    assert as_user(STRANGER, tried.format(str(daemon.socket)), imports=IMPORTS).strip() == "kept out"
