"""Amazon Resource Names, as text: what they are made of, and the name of a parameter or secret within one.

Must not know of references; `refs` builds on it.
"""

import re
from dataclasses import dataclass
from typing import Final

from sidecar.core.errors import BadRef

PREFIX: Final = "arn:"

_ARN: Final = re.compile(r"arn:(aws(?:-[a-z]+)*):([a-z0-9-]+):([a-z0-9-]+):([0-9]{12}|):([^*?#\s]+)")
_SUFFIX: Final = re.compile(r"(?<=.)-[A-Za-z0-9]{6}\Z")


@dataclass(frozen=True, slots=True)
class Arn:
    """One ARN; `parse` and `str` are inverse."""

    partition: str  # "aws", "aws-cn", "aws-us-gov"
    service: str
    region: str
    account: str  # twelve digits, or "" for what AWS publishes itself, such as the parameters below /aws/service
    resource: str  # "parameter/prod/db", "secret:prod/db-AbCdEf"

    @classmethod
    def parse(cls, text: str) -> "Arn":
        """Read a full ARN; raises BadRef."""
        match = _ARN.fullmatch(text)
        if match is None:
            raise BadRef("this is no full ARN: want arn:partition:service:region:account:resource, without wildcards")
        return cls(*match.groups())

    def __str__(self) -> str:
        """Print it as AWS does."""
        return f"{PREFIX}{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"

    def is_within(self, account: str, region: str) -> bool:
        """Whether a name is enough to ask for it, for who is in this account and region."""
        return self.region == region and self.account in {account, ""}

    @property
    def parameter(self) -> str:
        """The name of the parameter, with a slash before it; raises BadRef when it is no parameter's ARN.

        Of a parameter without a path, `name` and `/name` have one ARN: then the slash is a guess.
        """
        return f"/{self._name('parameter', '/')}"

    @property
    def secret(self) -> str:
        """The name of the secret, without the six characters at the end; raises BadRef when it is no secret's ARN.

        A partial ARN lacks those. Of a secret whose own name ends in `-` and six characters it cannot be told from
        a full one: AWS takes it for full, and so does this.
        """
        return _SUFFIX.sub("", self._name("secret", ":"))

    def _name(self, kind: str, separator: str) -> str:
        head, found, name = self.resource.partition(separator)
        if head != kind or not found:
            msg = f"this is no ARN of a {kind}"
            raise BadRef(msg)
        return name


def partition_of(region: str) -> str:
    """Name the partition of a region, as ARNs spell it."""
    return next((partition for start, partition in _PARTITIONS.items() if region.startswith(start)), "aws")


_PARTITIONS: Final = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
