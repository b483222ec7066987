"""Ask Service Quotas for the request rates that an account really has. Imported only where `quotas.discover` is on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.aws.answers import Answer
from sidecar.aws.identities import Identity, Question
from sidecar.core.ports import Gate
from sidecar.core.quota_names import SERVICES, Told, per_second

PAGE: Final = 100  # the most that ListServiceQuotas gives

_SECONDS: Final[Mapping[str, float]] = {
    "MICROSECOND": 1e-6,
    "MILLISECOND": 1e-3,
    "SECOND": 1.0,
    "MINUTE": 60.0,
    "HOUR": 3600.0,
    "DAY": 86_400.0,
    "WEEK": 604_800.0,
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a service's quotas."""

    told: tuple[Told, ...]
    arn: str | None  # of one of them: it holds the account
    next_token: str | None


async def read_limits(identity: Identity, gate: Gate) -> dict[str, float]:
    """Give the limits of the identity's account and region, in requests per second; raises Failure.

    The account is learnt on the way.
    """
    told: list[Told] = []
    for service in SERVICES:
        token: str | None = None
        while True:
            page = await identity.ask(_question(identity.region, service, token), gate)
            told.extend(page.told)
            if page.arn:
                identity.learn(page.arn)
            if page.next_token is None or page.next_token == token:
                break
            token = page.next_token
    return per_second(told)


def _question(region: str, service: str, token: str | None) -> Question[Page]:
    return Question(
        service="service-quotas",
        operation="ListServiceQuotas",
        region=region,
        parameters={
            "ServiceCode": service,
            "MaxResults": PAGE,
            **({} if token is None else {"NextToken": token}),
        },
        about=f"quotas of {service}",
        read=_read_page,
    )


def _read_page(answer: Answer) -> Page:
    answer.needs_one_of("Quotas")
    quotas = answer.items("Quotas")
    arn = next((quota.optional_text("QuotaArn") for quota in quotas), None)
    return Page(tuple(map(_read_quota, quotas)), arn, answer.optional_text("NextToken"))


def _read_quota(answer: Answer) -> Told:
    return Told(
        service=answer.text("ServiceCode"),
        code=answer.text("QuotaCode"),
        name=answer.text("QuotaName"),
        value=answer.decimal("Value"),
        period=_period(answer.nested("Period")),
    )


def _period(answer: Answer) -> float | None:
    if not answer.has("PeriodUnit"):
        return None
    return answer.number("PeriodValue") * _SECONDS.get(answer.text("PeriodUnit"), 1.0) or None
