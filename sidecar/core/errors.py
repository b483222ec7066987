"""Name what can go wrong, grouped by what one can do about it.

    SidecarError
    ├── ConfigError            mend the configuration (exit 2)
    ├── BindError              free the address, or mend where it is (exit 1)
    ├── BadRef, BadName        mend the request
    ├── CallerDenied           ask as somebody else
    ├── SecretError            AWS has answered, asking again now changes nothing (*definitive*)
    │   ├── NotFound           it does not exist, or is being deleted
    │   ├── AccessDenied       this identity may not
    │   ├── KeyUnusable        the KMS key is disabled, pending deletion or pending import
    │   ├── Undecryptable      the ciphertext does not open
    │   └── BadField           the value is there, the field asked for is not
    ├── StoreLost              the fleet's shared store does not answer: go on alone, ask again later
    └── Transient              nobody knows yet: serve what is held, ask again later
        ├── Throttled          AWS: too many requests
        ├── Unreachable        no network, no answer in time, 5xx, no (valid) credentials
        ├── Unintelligible     an answer without the fields that it must have (a proxy's page, say)
        └── Overloaded         our own queue for AWS is longer than the caller's deadline

A message names the secret, never its value, and never quotes a foreign exception's text.
"""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar


class SidecarError(Exception):
    """Anything that the program itself says is wrong.

    `label` is its closed-vocabulary name in metrics, logs and problem types; `mend` tells what to do.
    """

    label: ClassVar[str] = "error"
    mend: str = ""

    def __init__(self, message: str, *, mend: str | None = None) -> None:
        """Take what happened and, where the class does not know better, what to do about it."""
        super().__init__(message)
        if mend is not None:
            self.mend = mend


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where it stands, what it is, what would be right."""

    where: str  # "sidecar.yaml line 4" or "$SIDECAR_CACHE__TTL"
    key: str  # dotted path, "cache.refresh"
    what: str  # "want at least 1s, got 0s"

    def __str__(self) -> str:
        """One line, as it is shown to people."""
        return ", ".join(part for part in (self.where, f"{self.key}: {self.what}" if self.key else self.what) if part)


class ConfigError(SidecarError):
    """The configuration holds these problems; nothing was started or changed."""

    label = "config"
    mend = "Correct each line; `sidecar config schema` prints what is allowed."

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take every problem that was found, in the order of the file."""
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join([count, *(f"  {problem}" for problem in self.problems)]))


class BindError(SidecarError):
    """A listener cannot be opened, or not as closed as it was asked to be; nothing was served."""

    label = "bind"
    mend = "Free the address, or set another one in `listen`."


class BadRef(SidecarError):
    """The text is no reference."""

    label = "bad_ref"
    mend = "Write it as ssm:/path/name, sm:name, or an ARN of either."


class BadName(SidecarError):
    """The text is no name of a secret."""

    label = "bad_name"
    mend = (
        "Use letters, digits, '.', '_', '-' and single '/' between segments, 512 bytes at most, no segment '.' or '..'."
    )


class CallerDenied(SidecarError):
    """The local caller may not read this; says nothing of whether it exists."""

    label = "caller_denied"
    mend = "Add an `access` rule for this uid or gid and name, or ask for a name that is allowed."


class StoreLost(SidecarError):
    """The fleet's shared store does not answer, or not as it must: the daemon goes on alone."""

    label = "store_lost"
    mend = "Bring the store back, or correct `fleet.store`; until then each daemon keeps to its safe minimum."


class SecretError(SidecarError):
    """A definitive answer: asking AWS again now would change nothing."""

    label = "refused"


class NotFound(SecretError):
    """AWS says that there is no such thing, or that it is being deleted."""

    label = "not_found"
    mend = "Create it, or correct the reference, the region or the account."


class AccessDenied(SecretError):
    """AWS says that this identity may not."""

    label = "access_denied"
    mend = "Grant the identity the read action on this ARN, and kms:Decrypt on its key."


class KeyUnusable(SecretError):
    """The KMS key behind the value is disabled, pending deletion or without its material."""

    label = "key_unusable"
    mend = "Enable the KMS key (or cancel its deletion), or store the value under another key."


class Undecryptable(SecretError):
    """The ciphertext does not open: another key, another context, or damaged."""

    label = "undecryptable"
    mend = "Check which key and encryption context the value was encrypted with."


class BadField(SecretError):
    """The value is held, but it is not JSON or lacks the field."""

    label = "bad_field"
    mend = "Correct the part after '#', or store a JSON value that has it."


class Transient(SidecarError):
    """Nobody knows yet; what is held is served, and it is asked again with backoff.

    `retry_after` is how many seconds AWS or our own queue wants to be left alone, where it said so.
    """

    label = "error"
    mend = "Nothing to do unless it lasts; it is retried."

    def __init__(self, message: str, *, mend: str | None = None, retry_after: float | None = None) -> None:
        """Take what happened, and the seconds after which to come back, where they are known."""
        super().__init__(message, mend=mend)
        self.retry_after = retry_after


class Throttled(Transient):
    """AWS answered that it gets too many requests; `quota` is the one that it named, if any."""

    label = "throttled"
    mend = "Lower quotas.share, lengthen cache.refresh, or have the account's quota raised."

    def __init__(self, message: str, *, quota: str | None = None, retry_after: float | None = None) -> None:
        """Take the quota (`kms.symmetric`) that the answer blames, None when it names none."""
        super().__init__(message, retry_after=retry_after)
        self.quota = quota


class Unreachable(Transient):
    """No answer that counts: connection, time-out, 5xx, or credentials missing or expired."""

    label = "unreachable"


class TimedOut(Unreachable):
    """No answer within the call's time-out."""

    label = "timeout"


class Unintelligible(Transient):
    """An answer came, without the fields that it must have; never taken for a deletion."""

    label = "unintelligible"
    mend = "Look for a proxy or a wrong endpoint_url between the daemon and AWS."


class Overloaded(Transient):
    """Too many requests already wait for AWS; this one would not be served in time."""

    label = "overloaded"
    mend = "Try again after the time given; raise quotas.share if this lasts."


Failure = SecretError | Transient
"""What an ask for a secret can come back with instead of the secret; travels as a value."""

F = TypeVar("F", bound=Failure)


_ABOUT: Final = re.compile(r"(?:ssm|sm|kms|s3):\S+(?: and \d+ more)?: ")


def told_of(ref: str, failure: F) -> F:
    """Give a failure that several values share as this one's: who may read one is not told which others there are."""
    about = _ABOUT.match(str(failure))
    if about is None or about[0] == f"{ref}: ":
        return failure
    told = copy(failure)
    told.args = (f"{ref}: {str(failure)[about.end() :]}",)
    return told


def kept(failure: Failure) -> Failure:
    """Make a failure ready to be remembered: its frames would keep alive what the SDK had in hand, plaintext too."""
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)
