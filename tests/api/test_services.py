import pytest

from sidecar.core.config.types import PerSecret
from sidecar.core.errors import NotFound
from sidecar.core.freshness import State
from sidecar.core.names import Name
from sidecar.core.secret import Plaintext, Revision, Secret, Version
from sidecar.engine.catalogue import Declared
from sidecar.telemetry import Gauges, SecretGauge
from tests.api.served import in_memory
from tests.engine.fakes import ssm


@pytest.mark.looptime
async def test_what_the_store_drops_is_dropped_here() -> None:
    """Changed, deleted or forgotten: no plaintext stays behind."""
    async with in_memory() as services:
        bodies, store = services.bodies, services.engine.store
        for name in ("/kept", "/changed", "/deleted", "/forgotten"):
            ref = ssm(name)
            services.engine.resolver.open(ref)
            held = Secret(Revision(ref, Version("1"), "eu-west-1"), Plaintext(b"{}"))
            store.settle(ref, held)
            bodies.of(ref, held)
        store.settle(ssm("/changed"), Secret(Revision(ssm("/changed"), Version("2"), "eu-west-1"), Plaintext(b"2")))
        store.settle(ssm("/deleted"), NotFound("gone"))
        store.remove(ssm("/forgotten"))
        services.prune()
        assert list(bodies._made) == [ssm("/kept")]  # noqa: SLF001 -- what it keeps is what this is about


@pytest.mark.looptime
async def test_names_that_are_no_more_are_counted_no_longer() -> None:
    """A tree whose parameters come and go must not fill the memory."""
    async with in_memory() as services:
        for name in ("app/gone", "db"):
            services.metrics.secret_changed(name)
        services.engine.catalogue.add(Declared(Name("db"), ssm("/db")))
        services.prune()
        both = [SecretGauge(name, State.FRESH, 0.0) for name in ("app/gone", "db")]
        services.metrics.read(Gauges(secrets=lambda: both), PerSecret.ON)
        counted = services.metrics.render("")[1]
        assert b'sidecar_secret_changes_total{name="db"} 1.0' in counted
        assert b'sidecar_secret_changes_total{name="app/gone"} 0.0' in counted
