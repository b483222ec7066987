"""Carry one request through the fake: who asks, where, and what it used on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sidecar.fakeaws.weather import Caller, Weather, not_authorized, throttled
from sidecar.fakeaws.wire import Json, Params


class Dice(Protocol):
    """Where chance comes from; `random.Random` is one."""

    def random(self) -> float:
        """Return a number from 0 to just below 1."""
        ...

    def shuffle(self, x: list[Json]) -> None:
        """Bring a list into another order."""
        ...


@dataclass(slots=True)
class Visit:
    """One request on its way: the caller, the region, and how often KMS was used for it."""

    caller: Caller
    service: str
    operation: str
    region: str
    weather: Weather
    now: Callable[[], float]
    dice: Dice
    kms_charges: int = 0
    uses_key: bool = False

    @property
    def account(self) -> str:
        """The caller's account."""
        return self.caller.account

    def demand(self, action: str, *resources: str) -> None:
        """Raise IAM's refusal when the caller may not do this to one of the resources."""
        for resource in resources:
            plain = resource.partition(":parameter")[2] or resource.partition(":secret:")[2] or resource
            if self.weather.denies(self.caller, action, resource, plain):
                raise not_authorized(self.caller, action, resource)

    def charge(self, quota: str, message: str = "") -> None:
        """Use one of a quota of the caller's account; raises when this second's are gone."""
        if not self.weather.admits(self.account, self.region, quota, self.now()):
            raise throttled(self.service, message)


Operation = Callable[[Visit, Params], Json]
"""One of AWS's operations, as this fake answers it."""
