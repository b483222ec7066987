"""Start the fake AWS as a process, and steer it: for tests, demos and benchmarks.

The standard library only, so that whoever imports it gets neither moto nor aiohttp.
"""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self
from urllib.request import Request, urlopen

EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One attempt on the wire, as the fake saw it."""

    at: float
    service: str
    operation: str
    region: str
    account: str
    identity: str
    status: int  # 0 = the connection was closed without an answer
    error: str
    names: tuple[str, ...]
    with_decryption: bool
    kms_charges: int  # decryptions asked of KMS, on the caller's behalf or by his own call

    @property
    def key(self) -> str:
        """Service and operation, as `ssm.GetParameters`."""
        return f"{self.service}.{self.operation}"


@dataclass(frozen=True, slots=True)
class FakeAws:
    """Steers a running fake, for one account (or everybody's)."""

    url: str
    account: str = EVERYBODY
    ca: str | None = None  # the certificate to trust, where the fake speaks TLS

    def of(self, account: str) -> Self:
        """Return the same for one account."""
        return replace(self, account=account)

    def fault(  # noqa: PLR0913 -- what it is aimed at, each of them optional
        self,
        kind: str,
        *,
        service: str | None = None,
        operation: str | None = None,
        region: str | None = None,
        identity: str | None = None,
        name: str | None = None,
        count: int | None = None,
        seconds: float | None = None,
        message: str | None = None,
    ) -> None:
        """Make matching requests go wrong, `count` of them or all until `clear`.

        `kind`: outage, 500, 503, throttle, html-200, slow (`seconds`), access-denied, expired-token, bad-credentials,
        clock-skew. The others are globs; `identity` matches the caller's ARN, role or access key.
        """
        self._do(
            "fault",
            kind=kind,
            service=service,
            operation=operation,
            region=region,
            identity=identity,
            name=name,
            count=count,
            seconds=seconds,
            message=message,
        )

    def deny(self, action: str, resource: str | None = None, *, identity: str | None = None) -> None:
        """Refuse an action (`secretsmanager:DescribeSecret`), on one ARN or name, as if no policy allowed it."""
        self._do("deny", action=action, resource=resource, identity=identity)

    def limit(self, limits: Mapping[str, float]) -> None:
        """Set quotas per second: `{"ssm.get": 2, "kms.symmetric": 1}`; `*` = each that is not named."""
        self._do("limit", limits=dict(limits))

    def latency(self, seconds: float) -> None:
        """Add so much to every request of every account."""
        self._do("latency", seconds=seconds)

    def clear(self) -> None:
        """End all faults, denials and limits."""
        self._do("clear")

    def requests(self, service: str | None = None, operation: str | None = None) -> list[LoggedRequest]:
        """Return what reached the fake, oldest first."""
        answer = self._do("requests", service=service, operation=operation)
        listed = answer["requests"]
        assert isinstance(listed, list)
        return [LoggedRequest(**{**entry, "names": tuple(entry["names"])}) for entry in listed]

    def counts(self) -> dict[str, int]:
        """Return how many requests reached the fake, by `service.Operation`."""
        counts = self._do("counts")["counts"]
        assert isinstance(counts, dict)
        return {str(key): int(count) for key, count in counts.items()}

    def kms_charges(self) -> int:
        """Return how many decryptions were asked of KMS, directly or by way of another service."""
        return int(str(self._do("counts")["kms_charges"]))

    def forget_requests(self) -> None:
        """Begin to count anew."""
        self._do("forget")

    def set_key_state(self, key: str, state: str, *, region: str) -> str:
        """Make a key (id, alias or ARN) Enabled, Disabled, PendingDeletion, PendingImport or Unavailable.

        Unavailable is what a key in a custom key store is that cannot be reached. Returns the key's ARN.
        """
        return str(self._do("key-state", key=key, state=state, region=region)["arn"])

    def shut_out(self, key: str, *callers: str, region: str) -> str:
        """Let a key's policy admit all but these callers (globs over ARN, role or access key); returns its ARN."""
        return str(self._do("key-policy", key=key, shut_out=callers, region=region)["arn"])

    def set_next_rotation(self, secret: str, at: float | None, *, region: str) -> None:
        """Say when (seconds since 1970) the secret is due to rotate; None = it does not."""
        self._do("next-rotation", secret=secret, at=at, region=region)

    def empty_pages(self, count: int) -> None:
        """Let so many empty pages come before each page of GetParametersByPath."""
        self._do("empty-pages", count=count)

    def role(self, arn: str, *, external_id: str | None = None, session_seconds: float | None = None) -> None:
        """Say which external id a role wants, and how long its credentials work."""
        self._do("role", arn=arn, external_id=external_id, session_seconds=session_seconds)

    def reset(self) -> None:
        """Forget all that the account holds, what was asked of it, and what was made to go wrong."""
        self._do("reset")

    def _do(self, command: str, **asked: object) -> dict[str, object]:
        told = {"account": self.account, **{name: value for name, value in asked.items() if value is not None}}
        request = Request(f"{self.url}/_fake/{command}", json.dumps(told).encode(), method="POST")  # noqa: S310 -- our own URL
        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        with urlopen(request, timeout=30, context=context) as answer:  # noqa: S310 -- likewise
            parsed = json.loads(answer.read())
        assert isinstance(parsed, dict)
        return parsed


def command(*options: str) -> list[str]:
    """Return the command line that starts a fake."""
    return [sys.executable, "-m", "sidecar.fakeaws", *options]


@dataclass(frozen=True, slots=True)
class Started:
    """What a fake says when it serves."""

    url: str
    ca: str | None  # the file with the certificate to trust, where it speaks TLS


def parse_start(line: bytes) -> Started:
    """Read the one line that a started fake prints; raises ChildProcessError when it ended instead."""
    if not line:
        raise ChildProcessError("The fake AWS ended before it served; its reason is on standard error.")
    told = json.loads(line)
    return Started(str(told["url"]), told["ca"])


@contextmanager
def running_fake(options: Sequence[str] = ()) -> Iterator[FakeAws]:
    """Run a fake for the length of a `with` block; it ends with us, however we end."""
    with subprocess.Popen(command(*options), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 -- our own interpreter
        assert process.stdout is not None
        try:
            started = parse_start(process.stdout.readline())
            yield FakeAws(started.url, ca=started.ca)
        finally:
            process.terminate()
