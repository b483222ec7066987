import random
from dataclasses import astuple

import pytest

from sidecar.core.leases import Bid, Ledger
from sidecar.fleet.redis import RedisLeases
from tests.fleet.conformance import LASTING, POOL, Hands
from tests.fleet.servers import RedisServer


@pytest.mark.parametrize("seed", range(4))
async def test_says_what_the_ledger_says(redis: RedisServer, seed: int) -> None:
    """Bid for bid the script grants what `core.leases` does, whoever comes, goes, lies, or turns the clock."""
    dice, clock = random.Random(seed), Hands(1_800_000_000.0)
    ledger = Ledger(LASTING)
    store = RedisLeases(redis.url, f"scripts{seed}", LASTING, clock=clock)
    for _ in range(400):
        name = f"d{dice.randrange(8)}"
        if dice.random() < 0.05:
            ledger.leave(name)
            await store.leave(POOL, name)
        answered = dice.choice([0, 0, 3, 40])
        bid = Bid(
            need=dice.choice([0.0, 0.3, 7.0, 90.0, 2_000.0]),
            share=dice.choice([800.0, 800.0, 600.0]),
            safe=dice.choice([12.5, 100.0]),
            holds=dice.choice([0.0, 0.0, 5.0, 130.0]),
            seen=dice.choice([0, 0, ledger.turn, ledger.turn + 3]),
            answered=answered,
            throttled=round(answered * dice.choice([0.0, 0.0, 0.1, 0.9])),
            is_alone=dice.random() < 0.1,
        )
        assert astuple(await store.renew(POOL, name, bid)) == pytest.approx(astuple(ledger.renew(name, bid, clock())))
        clock.now += dice.choice([0.0, 0.01, 0.3, 2.0, dice.choice([1.0, 30.0, -3.0, -600.0])])
    await store.close()


async def test_nobody_leaves_a_ledger_that_is_not_there(redis: RedisServer) -> None:
    """A farewell begins nothing."""
    store = RedisLeases(redis.url, "farewell", LASTING)
    await store.leave(POOL, "daemon")
    assert redis.ask("KEYS", "sidecar:{farewell/*") == ""
    await store.close()
