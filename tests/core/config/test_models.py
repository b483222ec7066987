"""The sections have the documented defaults, and what there are many of stays small."""

from sidecar.core.config.models import (
    AccessRule,
    Cache,
    Config,
    IdentitySpec,
    Listen,
    Log,
    MetricsSpec,
    OnDemand,
    Quotas,
    SecretSpec,
    TreeSpec,
    Unix,
)
from sidecar.core.config.types import LogLevel, PerSecret
from sidecar.core.config.units import Address
from sidecar.core.ports import Decrypt
from sidecar.core.refs import Ref, SourceKind, Tree

DB = Ref(SourceKind.SM, "prod/db")


def test_defaults() -> None:
    """An empty configuration is a working one: everything on demand, for whoever the socket lets in."""
    assert Config() == Config(
        secrets={},
        trees={},
        on_demand=OnDemand(allow=("*",), max_entries=1000, max_bytes=64 * 2**20, idle=3600.0),
        cache=Cache(
            refresh=300.0,
            min_refresh=1.0,
            ttl=None,
            stale_if_error=86400.0,
            revoke_after=300.0,
            negative_ttl=10.0,
            revalidate=86400.0,
            keep_previous=900.0,
        ),
        listen=Listen(
            unix=Unix(path="/run/sidecar/sidecar.sock", mode=0o660, group=None), ops=Address("127.0.0.1", 9102)
        ),
        access=(),
        identities={"default": IdentitySpec()},
        failover={},
        quotas=Quotas(share=0.1, limits={}),
        metrics=MetricsSpec(per_secret=PerSecret.AUTO),
        log=Log(level=LogLevel.INFO, format=None, audit=False),
    )


def test_sections_can_be_made_by_code() -> None:
    """What is typed already is taken as it is."""
    rule = AccessRule(uid=1000, group="app", allow=("db-*",), admin=True)
    assert (rule.uid, rule.group, rule.allow, rule.admin) == (1000, "app", ("db-*",), True)
    config = Config(secrets={"db": SecretSpec(DB)}, trees={"app": TreeSpec(Tree("/app"), decrypt=Decrypt.LOCAL)})
    assert config.secrets["db"].ref == DB
    assert config.trees["app"].decrypt is Decrypt.LOCAL


def test_what_there_are_many_of_has_no_dict() -> None:
    """Ten thousand secrets are ten thousand slotted objects, not models."""
    assert not hasattr(SecretSpec(DB), "__dict__")
    assert not hasattr(TreeSpec(Tree("/app")), "__dict__")


def test_warns_of_secrets_that_win_over_a_tree() -> None:
    """Both are legal; the few names suffice to find the rest."""
    names = ["app/a", "app/b", "app/c", "app/d", "other", "application"]
    config = Config(secrets={name: SecretSpec(DB) for name in names}, trees={"app": TreeSpec(Tree("/app"))})
    assert config.warnings == (
        "trees.app: app/a, app/b, app/c and 1 more are declared too, and win over parameters of the same name",
    )
    one = Config(secrets={"app/a": SecretSpec(DB)}, trees={"app": TreeSpec(Tree("/app"))})
    assert one.warnings == ("trees.app: app/a is declared too, and win over parameters of the same name",)
    assert Config().warnings == ()
