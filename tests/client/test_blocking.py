import json
import os
from pathlib import Path

import pytest

from sidecar.client import (
    BadQuestion,
    Change,
    Client,
    ClientError,
    NoDaemon,
    NotFound,
    Refused,
    Unavailable,
    Unfit,
    UntrustedSocket,
    Value,
)
from tests.unix_peer import answer, events, listening, problem


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a place for a socket."""
    return tmp_path / "s"


class TestQuestions:
    """Each method asks what the interface documents, and gives what it answers."""

    def test_get(self, path: Path) -> None:
        """The bytes, whatever they are."""
        with listening(path, answer(b"\x00\xff\n", content_type="application/octet-stream")) as peer:
            assert Client(path).get("db-password") == b"\x00\xff\n"
        assert peer.asked[0].line == "GET /v1/values/db-password HTTP/1.1"
        assert peer.asked[0].headers["Prefer"] == "wait=10"
        assert peer.asked[0].headers["Host"] == "localhost"

    def test_get_previous(self, path: Path) -> None:
        """The version before the current one, with a wait of one's own."""
        with listening(path, answer(b"old")) as peer:
            assert Client(path).get("app/x", previous=True, wait=60) == b"old"
        assert peer.asked[0].line == "GET /v1/values/app%2Fx?previous=1 HTTP/1.1"
        assert peer.asked[0].headers["Prefer"] == "wait=60"

    @pytest.mark.parametrize(("wait", "told"), [(0, "wait=0"), (0.3, "wait=1"), (1.5, "wait=2"), (3.0, "wait=3")])
    def test_the_wait_is_told_in_whole_seconds(self, path: Path, wait: float, told: str) -> None:
        """Not less than was asked for; none at all is told too, for without a word the daemon waits ten seconds."""
        with listening(path, answer(b"x")) as peer:
            Client(path).get("db", wait=wait)
        assert peer.asked[0].headers["Prefer"] == told

    @pytest.mark.parametrize("name", ["..", "a/../b", "a?b", "a b", "ä"])
    def test_names_arrive_as_they_are(self, path: Path, name: str) -> None:
        """Whatever is asked for is the daemon's to judge; it cannot become another path."""
        with listening(path, problem(400, "no name")) as peer, pytest.raises(BadQuestion):
            Client(path).get(name)
        target = peer.asked[0].line.split(" ")[1]
        assert target.startswith("/v1/values/")
        assert target.count("/") == 3

    def test_secret_and_resolve(self, path: Path) -> None:
        """A value with what is known of it."""
        with listening(path, answer({"name": "a", "value": "x"})) as peer:
            assert Client(path).secret("a") == {"name": "a", "value": "x"}
            assert Client(path).resolve("sm:prod/db#user")["value"] == "x"
        assert [asked.line.split(" ")[1] for asked in peer.asked] == [
            "/v1/secrets/a",
            "/v1/resolve?ref=sm%3Aprod%2Fdb%23user",
        ]

    def test_a_space_in_a_reference_stays_one(self, path: Path) -> None:
        """The daemon takes `+` for itself, since names have it: a space must not become one."""
        with listening(path, answer({"value": "x"})) as peer:
            Client(path).resolve("sm:a+b#my key")
        assert peer.asked[0].line.split(" ")[1] == "/v1/resolve?ref=sm%3Aa%2Bb%23my%20key"

    def test_list_and_status(self, path: Path) -> None:
        """Descriptions without values."""
        routes = {"/v1/secrets": answer({"secrets": [{"name": "a"}]}), "/v1/status": answer({"version": "1"})}
        with listening(path, routes=routes):
            assert Client(path).list() == [{"name": "a"}]
            assert Client(path).status() == {"version": "1"}

    def test_refresh(self, path: Path) -> None:
        """Some, all, or one whose version was rejected."""
        with listening(path, answer({"secrets": [{"name": "a", "changed": True}]})) as peer:
            assert Client(path).refresh(["a"], rejected='"tag"') == [{"name": "a", "changed": True}]
            Client(path).refresh()
        assert peer.asked[0].line == "POST /v1/refresh HTTP/1.1"
        assert [json.loads(asked.body) for asked in peer.asked] == [
            {"names": ["a"], "rejected": '"tag"'},
            {"names": []},
        ]

    def test_kms(self, path: Path) -> None:
        """An operation with KMS's own members, bytes as their base64; the public key of a pair."""
        routes = {
            "/v1/kms/encrypt": answer({"CiphertextBlob": "AQ==", "KeyId": "arn"}),
            "/v1/kms/public-key?key_id=alias%2Fpair": answer({"PublicKey": "MA=="}),
        }
        with listening(path, routes=routes) as peer:
            told = Client(path).kms(
                "encrypt", KeyId="alias/app", Plaintext=b"\xff", EncryptionContext={"a": "b"}, wait=3
            )
            assert told == {"CiphertextBlob": "AQ==", "KeyId": "arn"}
            assert Client(path).public_key("alias/pair") == {"PublicKey": "MA=="}
        assert peer.asked[0].line == "POST /v1/kms/encrypt HTTP/1.1"
        assert peer.asked[0].headers["Prefer"] == "wait=3"
        sent = {"KeyId": "alias/app", "Plaintext": "/w==", "EncryptionContext": {"a": "b"}}
        assert json.loads(peer.asked[0].body) == sent

    def test_ready(self, path: Path) -> None:
        """503 is an answer here, no failure."""
        with listening(path, answer({"ready": True}), problem(503, "1 is missing", names=["a"])):
            assert Client(path).ready().ready is True
            readiness = Client(path).ready()
        assert readiness.ready is False
        assert readiness.detail["names"] == ["a"]


class TestProblems:
    """Each kind of failure is a class of its own, with what the daemon said."""

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, BadQuestion),
            (403, Refused),
            (404, NotFound),
            (405, BadQuestion),
            (413, BadQuestion),
            (422, Unfit),
            (429, Unavailable),
            (431, BadQuestion),
            (500, ClientError),
            (502, Unavailable),
            (503, Unavailable),
            (504, Unavailable),
        ],
    )
    def test_by_status(self, path: Path, status: int, kind: type[ClientError]) -> None:
        """What the daemon says, and its mend, are the exception's."""
        with listening(path, problem(status, "db: it is so", "Do this.", name="db")), pytest.raises(ClientError) as got:
            Client(path).get("db")
        assert type(got.value) is kind
        assert (str(got.value), got.value.mend, got.value.status) == ("db: it is so", "Do this.", status)
        assert got.value.problem["name"] == "db"

    @pytest.mark.parametrize("kind", ["undecryptable", "bad-ciphertext", "wrong-key", "too-large"])
    def test_what_does_not_decrypt_is_not_asked_for_again(self, path: Path, kind: str) -> None:
        """Its status is that of an answer of AWS's which cannot be understood; its type says that it stays so."""
        undecryptable = problem(502, "db: it does not open", type=f"urn:sidecar:problem:{kind}")
        with listening(path, undecryptable), pytest.raises(Unfit, match="does not open"):
            Client(path).get("db")

    def test_an_error_without_a_problem(self, path: Path) -> None:
        """Something in between answers in its own way."""
        with listening(path, answer(b"<html>", 502, "text/html")), pytest.raises(Unavailable) as got:
            Client(path).get("db")
        assert str(got.value) == "db: the answer is HTTP status 502"

    @pytest.mark.parametrize("content", [b"<html>", [1]])
    def test_an_answer_that_is_not_the_daemons(self, path: Path, content: object) -> None:
        """Another server's page is told as such."""
        with listening(path, answer(content)), pytest.raises(ClientError, match="not the daemon's"):
            Client(path).secret("db")

    def test_a_list_that_is_none(self, path: Path) -> None:
        """Without the member that holds it, there are none."""
        with listening(path, answer({"secrets": None})):
            assert Client(path).list() == []

    @pytest.mark.parametrize("reply", [b"", b"no http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"])
    def test_a_server_that_breaks_off(self, path: Path, reply: bytes) -> None:
        """Nothing, no HTTP, or less than promised: nobody answers."""
        with listening(path, reply), pytest.raises(NoDaemon, match="no daemon answers"):
            Client(path).get("db")

    def test_no_socket(self, path: Path) -> None:
        """The mend says how to start one; it counts as unavailable."""
        with pytest.raises(NoDaemon, match="No such file") as got:
            Client(path).get("db")
        assert isinstance(got.value, Unavailable)
        assert "sidecar run" in got.value.mend
        with pytest.raises(NoDaemon):
            Client(path).ready()

    def test_a_socket_that_nobody_serves(self, path: Path) -> None:
        """The file of a daemon that crashed."""
        with listening(path, answer({})):
            os.link(path, path.with_name("left"))
        with pytest.raises(NoDaemon, match="Connection refused"):
            Client(path.with_name("left")).get("db")

    def test_a_file_that_is_no_socket(self, path: Path) -> None:
        """It is told, not opened."""
        path.write_text("")
        with pytest.raises(NoDaemon, match="is no socket"):
            Client(path).get("db")

    def test_a_path_that_is_too_long(self, tmp_path: Path) -> None:
        """Longer than the system lets a socket's path be."""
        with pytest.raises(NoDaemon, match="no daemon answers"):
            Client(tmp_path / ("x" * 120)).get("db")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket to somebody else")
    def test_a_socket_of_somebody_else(self, path: Path) -> None:
        """It is refused before anything is sent, unless its owner is named."""
        with listening(path, answer(b"x")) as peer:
            os.chown(path, 4242, -1)
            with pytest.raises(UntrustedSocket, match="user 4242") as got:
                Client(path).get("db")
            assert isinstance(got.value, Refused)
            assert peer.asked == []
            assert Client(path, owner=4242).get("db") == b"x"


BEGUN = ": watching\nid: b-1\n\n"
TWO = 'event: change\ndata: {"name": "a"}\n\nevent: change\ndata: {"name": "b"}\nid: b-2\n\n: alive\n\n'
THREE = 'event: change\ndata: {"name": "a"}\nid: c-3\n\n'


class TestWatch:
    """A stream of changes that outlives the daemon."""

    def test_goes_on_where_it_was(self, path: Path) -> None:
        """After the daemon has gone, it asks again from the last position, pausing longer each time in vain."""
        pauses: list[float] = []
        away = problem(503, "it stops")
        with listening(path, events(BEGUN + TWO), away, b"", events(BEGUN + THREE), events(BEGUN)) as peer:
            changes = Client(path, pause=pauses.append).watch(["a", "b"])
            assert [next(changes).secret["name"] for _ in range(3)] == ["a", "b", "a"]
        assert peer.asked[0].line == "GET /v1/watch?name=a&name=b HTTP/1.1"
        assert [asked.headers["Last-Event-ID"] for asked in peer.asked] == [None, "b-2", "b-2", "b-2"]
        assert pauses == [0.1, 0.2, 0.5]

    def test_from_a_position_with_values(self, path: Path) -> None:
        """Both are asked for only on demand."""
        with listening(path, events(THREE)) as peer:
            assert next(Client(path).watch(since="b-9", values=True)) == Change("c-3", {"name": "a"})
        assert peer.asked[0].line == "GET /v1/watch?values=1 HTTP/1.1"
        assert peer.asked[0].headers["Last-Event-ID"] == "b-9"

    def test_what_no_reconnecting_mends(self, path: Path) -> None:
        """An unknown name ends it, at the start or later."""
        with listening(path, events(BEGUN + THREE), problem(404, "a: no such secret")):
            changes = Client(path, pause=lambda _: None).watch(["a"])
            assert next(changes).secret == {"name": "a"}
            with pytest.raises(NotFound):
                next(changes)

    def test_without_a_daemon_it_does_not_begin(self, path: Path) -> None:
        """Whoever starts a watch learns at once that nobody is there."""
        with pytest.raises(NoDaemon):
            next(Client(path).watch())


class TestValues:
    """A value knows its version; with `keep`, the last one outlives the daemon."""

    def test_with_its_version(self, path: Path) -> None:
        """What is needed to say later that it did not work."""
        with listening(path, answer(b'{"user": "u"}', headers={"ETag": '"1"', "Age": "3"})):
            assert Client(path).value("db") == Value("db", b'{"user": "u"}', '"1"', 3.0)
            assert Client(path).get_json("db") == {"user": "u"}

    def test_what_is_no_json(self, path: Path) -> None:
        """It is there, but not what was asked for; the error does not quote it."""
        with listening(path, answer(b"canary")), pytest.raises(Unfit, match="db: the value is not JSON"):
            Client(path).get_json("db")

    def test_the_last_value_outlives_the_daemon(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """While nobody answers it is given on, marked, with one line in the log; the next daemon's word counts."""
        client = Client(path, keep=60)
        with listening(path, answer(b"one", headers={"ETag": '"1"'})):
            assert client.value("db").kept is False
        assert (client.get("db"), client.value("db").kept, client.value("db").stale) == (b"one", True, True)
        with pytest.raises(NoDaemon):
            client.get("other")
        assert [record.name for record in caplog.records] == ["sidecar.client"]
        assert "db: its last value is given on: no daemon answers" in caplog.text
        with listening(path, answer(b"two")):
            assert client.value("db") == Value("db", b"two", "")

    def test_without_keep_nothing_is_kept(self, path: Path) -> None:
        """As everybody expects who did not ask for it."""
        client = Client(path)
        with listening(path, answer(b"one")):
            client.get("db")
        with pytest.raises(NoDaemon):
            client.get("db")


class LoginFailed(Exception):
    """The database does not take the password."""


class TestRetrying:
    """A login that fails with the cached password is tried once more with a newer one."""

    def replies(self, tag: str) -> dict[str, bytes]:
        """Answer a refresh with the version that there is then."""
        return {"/v1/refresh": answer({"secrets": [{"name": "db", "etag": tag, "changed": True}]})}

    def test_with_a_newer_one(self, path: Path) -> None:
        """The daemon hears which version was rejected; the function's own arguments stay."""
        tried: list[Value] = []

        @Client(path).retrying("db", on=LoginFailed)
        def login(password: Value, user: str, *, port: int) -> str:
            """Log in."""
            tried.append(password)
            if password.text == "old":
                raise LoginFailed
            return f"{user}:{password.text}@{port}"

        values = answer(b"old", headers={"ETag": '"1"'}), answer(b"new", headers={"ETag": '"2"'})
        with listening(path, *values, routes=self.replies('"2"')) as peer:
            assert login("u", port=1) == "u:new@1"
        assert [value.etag for value in tried] == ['"1"', '"2"']
        assert json.loads(peer.asked[1].body) == {"names": ["db"], "rejected": '"1"'}
        assert login.__name__ == "login"

    @pytest.mark.parametrize(
        "reply",
        [
            answer({"secrets": [{"name": "db", "etag": '"1"', "changed": False}]}),
            answer({"secrets": [{"name": "db", "etag": None, "state": "absent"}]}),
            problem(503, "AWS is out of reach"),
            b"",
        ],
    )
    def test_without_a_newer_one(self, path: Path, reply: bytes) -> None:
        """What the function raised goes on, whatever became of the check; nothing is tried twice in vain."""
        tried: list[str] = []

        def login(password: Value) -> None:
            tried.append(password.text)
            raise LoginFailed

        value = answer(b"old", headers={"ETag": '"1"'})
        with listening(path, value, routes={"/v1/refresh": reply}), pytest.raises(LoginFailed):
            Client(path).retrying("db", on=LoginFailed)(login)()
        assert tried == ["old"]

    def test_another_failure_is_no_reason(self, path: Path) -> None:
        """A database that is away asks nothing of the daemon."""

        def login(_password: Value) -> None:
            raise ConnectionError

        with listening(path, answer(b"old")) as peer, pytest.raises(ConnectionError):
            Client(path).retrying("db", on=(LoginFailed, KeyError))(login)()
        assert len(peer.asked) == 1

    def test_the_second_failure_is_the_last(self, path: Path) -> None:
        """It is raised as it is."""
        tried: list[str] = []

        def login(password: Value) -> None:
            tried.append(password.text)
            raise LoginFailed(password.etag)

        values = answer(b"old", headers={"ETag": '"1"'}), answer(b"new", headers={"ETag": '"2"'})
        with listening(path, *values, routes=self.replies('"2"')), pytest.raises(LoginFailed, match="2"):
            Client(path).retrying("db", on=LoginFailed)(login)()
        assert tried == ["old", "new"]

    def test_an_async_function_wants_the_other_client(self, path: Path) -> None:
        """Else its failure would come after it was called, and never be retried."""

        async def login(_password: Value) -> None:
            """Do nothing."""

        with pytest.raises(TypeError, match="AsyncClient"):
            Client(path).retrying("db", on=LoginFailed)(login)
