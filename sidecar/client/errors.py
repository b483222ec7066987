"""Name what may go wrong between a program and the daemon.

    ClientError
    ├── BadQuestion
    ├── Unfit
    ├── NotFound
    ├── Refused
    │   └── UntrustedSocket
    └── Unavailable
        └── NoDaemon

Must hold no value: what is raised here ends in logs.
"""

from collections.abc import Mapping


class ClientError(Exception):
    """No answer, or one that tells of a problem.

    `status` is HTTP's (None when there was no answer), `problem` the members of its RFC 9457 body, `mend` what to do.
    """

    def __init__(
        self, message: str, *, mend: str = "", status: int | None = None, problem: Mapping[str, object] | None = None
    ) -> None:
        """Take what is wrong."""
        super().__init__(message)
        self.mend = mend
        self.status = status
        self.problem = problem or {}


class BadQuestion(ClientError):
    """The daemon does not take the question: a bad name or parameter."""


class Unfit(ClientError):
    """The value is there, but not what was asked of it: the field is missing, it is no JSON, or it does not decrypt."""


class NotFound(ClientError):
    """No secret of this name, or AWS does not know it."""


class Refused(ClientError):
    """The daemon does not let this user read it, or AWS does not let the daemon."""


class Unavailable(ClientError):
    """Nobody knows yet: AWS is out of reach, or it took too long."""


class NoDaemon(Unavailable):
    """Nobody answers at the socket."""


class UntrustedSocket(Refused):
    """The socket belongs to somebody who may not pose as the daemon."""
