import pytest

from sidecar.core.errors import NotFound
from sidecar.core.secret import Plaintext, Revision, Secret, Version
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
