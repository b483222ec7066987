"""Let tests, demos and benchmarks steer the fake: the commands behind `/_fake/…`, JSON in and out.

The other end of `control.FakeAws`. Must not show a value or a credential.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.fakeaws import kms, secretsmanager, stores
from sidecar.fakeaws.aws import Aws
from sidecar.fakeaws.journal import Entry, listed
from sidecar.fakeaws.sts import Role
from sidecar.fakeaws.weather import ANY, Denial, Fault, FaultKind
from sidecar.fakeaws.wire import DEFAULT_REGION, Json

PREFIX: Final = "/_fake/"
_DONE: Final[Json] = {"ok": True}


class BadCommand(Exception):
    """The command is not one, or names something that is not there."""


@dataclass(frozen=True, slots=True)
class Controls:
    """The commands, on one fake AWS."""

    aws: Aws

    def obey(self, command: str, asked: Mapping[str, object]) -> Json:
        """Do one command; raises BadCommand."""
        commands: dict[str, Callable[[_Asked], Json]] = {
            "clear": self._clear,
            "counts": self._counted,
            "deny": self._deny,
            "empty-pages": self._empty_pages,
            "fault": self._fault,
            "forget": self._forget,
            "health": lambda _: _DONE,
            "key-policy": self._key_policy,
            "key-state": self._key_state,
            "latency": self._latency,
            "limit": self._limit,
            "next-rotation": self._next_rotation,
            "requests": lambda asked: {**self._counted(asked), "requests": listed(self._entries(asked))},
            "reset": self._reset,
            "role": self._role,
        }
        if command not in commands:
            raise BadCommand(f"Want one of {', '.join(sorted(commands))}; got {command}")
        try:
            return commands[command](_Asked(asked))
        except (KeyError, ValueError, TypeError) as error:
            raise BadCommand(f"{command}: {error}") from error

    def _fault(self, asked: "_Asked") -> Json:
        fault = Fault(
            kind=FaultKind(asked.text("kind", "")),
            account=asked.account,
            service=asked.text("service"),
            operation=asked.text("operation"),
            region=asked.text("region"),
            identity=asked.text("identity"),
            name=asked.text("name"),
            count=None if asked.number("count") is None else int(asked.number("count") or 0),
            seconds=asked.number("seconds") or 0.0,
            message=asked.text("message", ""),
        )
        self.aws.weather.faults.append(fault)
        return _DONE

    def _deny(self, asked: "_Asked") -> Json:
        denial = Denial(asked.text("action", ""), asked.text("resource"), asked.account, asked.text("identity"))
        self.aws.weather.denials.append(denial)
        return _DONE

    def _limit(self, asked: "_Asked") -> Json:
        self.aws.weather.limit(asked.account, asked.rates("limits"))
        return _DONE

    def _latency(self, asked: "_Asked") -> Json:
        self.aws.weather.latency = asked.number("seconds") or 0.0
        return _DONE

    def _empty_pages(self, asked: "_Asked") -> Json:
        self.aws.weather.empty_pages[asked.account] = int(asked.number("count") or 0)
        return _DONE

    def _clear(self, asked: "_Asked") -> Json:
        self.aws.weather.clear(asked.account)
        return _DONE

    def _counted(self, asked: "_Asked") -> Json:
        return self.aws.journal.counted(asked.account, asked.text("service"), asked.text("operation"))

    def _entries(self, asked: "_Asked") -> list[Entry]:
        return self.aws.journal.of(asked.account, asked.text("service"), asked.text("operation"))

    def _forget(self, asked: "_Asked") -> Json:
        self.aws.journal.forget(asked.account)
        return _DONE

    def _reset(self, asked: "_Asked") -> Json:
        self.aws.weather.clear(asked.account)
        self.aws.journal.forget(asked.account)
        stores.forget_account(asked.account)
        return _DONE

    def _role(self, asked: "_Asked") -> Json:
        role = Role(asked.text("arn", ""), asked.text("external_id", "") or None, asked.number("session_seconds"))
        self.aws.tokens.roles[role.arn] = role
        return _DONE

    def _key_policy(self, asked: "_Asked") -> Json:
        key = self._key(asked)
        kms.beside(key).shut_out = asked.texts("shut_out")
        return {"arn": key.arn}

    def _key_state(self, asked: "_Asked") -> Json:
        key = self._key(asked)
        kms.set_state(key, asked.text("state", ""))
        return {"arn": key.arn}

    def _key(self, asked: "_Asked") -> stores.Key:
        key = kms.find_key(self._owner(asked), asked.region, asked.text("key", ""))
        if key is None:
            raise BadCommand("there is no such key")
        return key

    def _next_rotation(self, asked: "_Asked") -> Json:
        secret = stores.secret_store(self._owner(asked), asked.region).secrets.get(asked.text("secret", ""))
        if secret is None:
            raise BadCommand("next-rotation: there is no such secret")
        secretsmanager.set_next_rotation(secret, asked.number("at"))
        return _DONE

    def _owner(self, asked: "_Asked") -> str:
        return self.aws.tokens.default_account if asked.account == ANY else asked.account


@dataclass(frozen=True, slots=True)
class _Asked:
    """A command's arguments."""

    raw: Mapping[str, object]

    @property
    def account(self) -> str:
        return self.text("account")

    @property
    def region(self) -> str:
        return self.text("region", DEFAULT_REGION)

    def text(self, name: str, default: str = ANY) -> str:
        value = self.raw.get(name)
        return default if value is None else str(value)

    def number(self, name: str) -> float | None:
        value = self.raw.get(name)
        return None if value is None else float(str(value))

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.raw.get(name, [])
        if not isinstance(value, list):
            raise TypeError(f"{name} must be a list")
        return tuple(str(item) for item in value)

    def rates(self, name: str) -> dict[str, float]:
        value = self.raw.get(name)
        if not isinstance(value, dict):
            raise TypeError(f"{name} must be an object")
        return {str(quota): float(str(rate)) for quota, rate in value.items()}
