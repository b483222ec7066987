"""How often KMS decrypts: once for each value first held, once for each that changed, and never for a look."""

from typing import Final

from bench.figures import Figure
from bench.running import Daemon, agreed, declared, pause, until, world

PARAMETERS: Final = 30
SECRETS: Final = 10
CHANGED: Final = 5  # of each


def measure() -> list[Figure]:
    """Hold values, look at each many times, change some."""
    with world(PARAMETERS, SECRETS) as here:
        config = here.configure(declared(PARAMETERS, SECRETS), cache={"refresh": "1s"})
        with here.daemon(config) as daemon:
            until(daemon.ready, within=20)
            for number in range(CHANGED):
                here.put(f"/p/{number}", "changed")
                here.put_secret(f"s/{number}", "changed")
            until(lambda: all(_changed(daemon, number) for number in range(CHANGED)), within=20)
            pause(5)
            fake, told = agreed(here.fake.kms_charges, daemon.kms_charges)
    right = PARAMETERS + SECRETS + 2 * CHANGED
    measured = f"{right}, {fake}, {told}"
    return [
        Figure("KMS decryptions: held + changed, the fake's, the daemon's", "equal", measured, fake == told == right)
    ]


def _changed(daemon: Daemon, number: int) -> bool:
    return all(daemon.ask(f"/v1/values/{kind}{number}")[1] == b"changed" for kind in "ps")
