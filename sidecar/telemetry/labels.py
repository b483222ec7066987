"""Hold the closed vocabularies of metric labels."""

from enum import StrEnum
from typing import Final

ON_DEMAND: Final = "on-demand"
"""The one label under which everything that callers ask for undeclared is counted."""


class Outcome(StrEnum):
    """How one attempt at an AWS request ended."""

    OK = "ok"
    THROTTLED = "throttled"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    TIMEOUT = "timeout"
    ERROR = "error"


class KmsReason(StrEnum):
    """Who called KMS for the plaintext that was returned: we, or a service on our behalf."""

    DIRECT = "direct"
    SSM = "ssm"
    SM = "sm"
    S3 = "s3"


class DataKeyUse(StrEnum):
    """What a data key was wanted for."""

    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"


class DataKeyResult(StrEnum):
    """Whether KMS was asked for a data key: a hit is a call saved."""

    HIT = "hit"
    MISS = "miss"
    OFF = "off"  # the cache is off


class CacheResult(StrEnum):
    """What a look-up by a local caller found."""

    HIT = "hit"
    STALE = "stale"
    MISS = "miss"
    NEGATIVE = "negative"
    REFUSED = "refused"


class Refreshed(StrEnum):
    """What a check of one value brought."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"


class FileResult(StrEnum):
    """What became of one try to bring a file up to date."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class HookResult(StrEnum):
    """What became of one try to tell somebody of a file that has changed."""

    OK = "ok"
    FAILED = "failed"


class Listener(StrEnum):
    """Where a local request came in."""

    UNIX = "unix"
    OPS = "ops"


class HttpRoute(StrEnum):
    """Which resource a local request asked for; never a name."""

    VALUE = "/v1/values/{name}"
    VALUES = "/v1/values"
    SECRET = "/v1/secrets/{name}"  # noqa: S105 -- a path, no password
    SECRETS = "/v1/secrets"
    RESOLVE = "/v1/resolve"
    WATCH = "/v1/watch"
    REFRESH = "/v1/refresh"
    KMS = "/v1/kms/{operation}"
    STATUS = "/v1/status"
    OPENAPI = "/openapi.json"
    HEALTHZ = "/healthz"
    READYZ = "/readyz"
    METRICS = "/metrics"
    OTHER = "other"


SERVED: Final[tuple[tuple[Listener, HttpRoute], ...]] = (
    *((Listener.UNIX, route) for route in HttpRoute if route is not HttpRoute.KMS),
    *(
        (Listener.OPS, route)
        for route in (HttpRoute.HEALTHZ, HttpRoute.READYZ, HttpRoute.METRICS, HttpRoute.OPENAPI, HttpRoute.OTHER)
    ),
)
"""Which listener has which resources whose series exist before the first request: all but KMS's, which few apps use."""

OPERATIONS: Final = (
    ("kms", "Decrypt"),
    ("secretsmanager", "BatchGetSecretValue"),
    ("secretsmanager", "DescribeSecret"),
    ("secretsmanager", "GetSecretValue"),
    ("ssm", "GetParameters"),
    ("ssm", "GetParametersByPath"),
    ("sts", "AssumeRole"),
    ("sts", "GetCallerIdentity"),
)
"""The AWS operations that the daemon uses: their series exist before the first request."""

RETRIED: Final = (Outcome.THROTTLED, Outcome.TIMEOUT, Outcome.ERROR)
"""What can be the reason of another attempt."""
