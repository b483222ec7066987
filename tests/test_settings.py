from pathlib import Path
from typing import Annotated, Any, TypeVar

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretBytes, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from sidecar.settings import FromSidecar, SidecarSettings, SidecarSettingsSource
from tests.unix_peer import answer, listening, problem


class Database(BaseModel):
    """What a JSON secret holds."""

    user: str
    password: SecretStr
    port: int = 5432


class App(SidecarSettings):
    """Settings of every kind."""

    db_password: Annotated[SecretStr, FromSidecar()]
    database: Annotated[Database | None, FromSidecar("db")] = None
    key: Annotated[bytes, FromSidecar("tls/key")] = b""
    seed: Annotated[SecretBytes | None, FromSidecar()] = None
    pin: Annotated[int, FromSidecar()] = 0
    hosts: Annotated[list[str], FromSidecar(), Field(validation_alias=AliasChoices("HOSTS", "hosts"))] = Field(
        default_factory=list
    )
    log_level: str = "info"


PASSWORD = {"/v1/values/db-password": answer(b"canary")}
ALL = PASSWORD | {
    "/v1/values/db": answer({"user": "u", "password": "canary"}),
    "/v1/values/tls%2Fkey": answer(b"\xff\x00"),
    "/v1/values/seed": answer(b"\xfe"),
    "/v1/values/pin": answer(b"1234"),
    "/v1/values/hosts": answer(["a", "b"]),
}
GONE = problem(404, "no secret of this name is declared", "Declare it.")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a place for a socket, named as an app's environment names it."""
    monkeypatch.setenv("SIDECAR_SOCKET", str(tmp_path / "s"))
    return tmp_path / "s"


S = TypeVar("S", bound=BaseSettings)


def built(settings: type[S]) -> S:
    """Build settings without arguments: for mypy, a required field is one."""
    given: dict[str, Any] = {}
    return settings(**given)


class TestValues:
    """Each field gets what fits its type."""

    def test_of_every_kind(self, path: Path) -> None:
        """Text, JSON, bytes, numbers; secrets stay hidden, and the rest is not asked for."""
        with listening(path, GONE, routes=ALL) as peer:
            app = built(App)
        assert app.db_password.get_secret_value() == "canary"
        assert app.database is not None
        assert (app.database.user, app.database.password.get_secret_value(), app.database.port) == ("u", "canary", 5432)
        assert (app.key, app.seed, app.pin, app.hosts) == (b"\xff\x00", SecretBytes(b"\xfe"), 1234, ["a", "b"])
        assert "canary" not in repr(app)
        assert len(peer.asked) == len(ALL)

    def test_what_is_not_there_leaves_the_default(self, path: Path) -> None:
        """Only of fields that have one."""
        with listening(path, GONE, routes=PASSWORD):
            assert built(App).pin == 0

    def test_arguments_and_variables_come_first(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What somebody wrote down for this run is not asked for: it needs no daemon."""
        given: dict[str, Any] = {"database": None, "key": b"k", "seed": b"s", "hosts": ["h"], "db_password": "p"}
        monkeypatch.setenv("PIN", "1")
        app = App(**given)
        assert (app.db_password.get_secret_value(), app.pin, app.hosts) == ("p", 1, ["h"])
        assert not path.exists()

    def test_a_part_of_a_model_from_elsewhere(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The secret fills in the rest."""
        monkeypatch.setenv("DATABASE", '{"user": "other"}')
        with listening(path, GONE, routes=ALL):
            app = built(App)
        assert app.database is not None
        assert (app.database.user, app.database.password.get_secret_value()) == ("other", "canary")


class TestTroubles:
    """What cannot be had is told at once, by field and secret."""

    def test_without_a_daemon(self, path: Path) -> None:
        """One line says why, and names every field that waits for it; a default does not hide that."""
        with pytest.raises(SettingsError) as got:
            built(App)
        assert len(str(got.value).splitlines()) == 1
        assert "db_password (secret db-password), database (secret db), key (secret tls/key)" in str(got.value)
        assert f"no daemon answers at {path}" in str(got.value)
        assert "Start it" in str(got.value)

    def test_each_in_its_own_way(self, path: Path) -> None:
        """Missing, refused and unfit ones are told together; what is held is not quoted."""
        routes = {
            "/v1/values/db-password": GONE,
            "/v1/values/pin": problem(403, "you may not read it", "Ask for the right."),
            "/v1/values/db": answer(b"canary"),
        }
        with listening(path, GONE, routes=routes), pytest.raises(SettingsError) as got:
            built(App)
        assert str(got.value).splitlines() == [
            "db_password (secret db-password): db-password: no secret of this name is declared. Declare it.",
            "database (secret db): db: the value is not JSON. Ask for its bytes, or store a JSON value.",
            "pin (secret pin): pin: you may not read it. Ask for the right.",
        ]

    def test_a_value_that_does_not_fit_is_not_quoted(self, path: Path) -> None:
        """Not by the model, nor by a model in it."""
        routes = ALL | {"/v1/values/pin": answer(b"canary"), "/v1/values/db": answer({"port": "canary", "user": "u"})}
        with listening(path, GONE, routes=routes), pytest.raises(ValidationError) as got:
            built(App)
        assert "pin" in str(got.value)
        assert "database.port" in str(got.value)
        assert "canary" not in str(got.value)

    def test_settings_that_would_quote_are_refused(self, path: Path) -> None:
        """Before anything is asked; the error says what to set."""

        class Quoting(BaseSettings):
            """Settings of one's own, with the source in them."""

            model_config = SettingsConfigDict()
            pin: Annotated[int, FromSidecar()]

            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                *sources: PydanticBaseSettingsSource,
                **others: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                """Take the daemon's."""
                return *sources, *others.values(), SidecarSettingsSource(settings_cls)

        with (
            listening(path, answer(b"canary")) as peer,
            pytest.raises(SettingsError, match="hide_input_in_errors=True"),
        ):
            built(Quoting)
        assert peer.asked == []
