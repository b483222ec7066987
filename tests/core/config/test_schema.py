"""The schema for editors is current, and agrees with the loader."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sidecar.core.config.loading import load
from sidecar.core.config.schema import schema
from sidecar.core.errors import ConfigError

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "configuration.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)
SCHEMA: dict[str, Any] = schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_shipped_schema_is_current() -> None:
    """`sidecar config schema > docs/sidecar.schema.json` would change nothing."""
    assert json.loads((DOCS / "sidecar.schema.json").read_text()) == SCHEMA


def test_the_schema_is_one() -> None:
    """It follows its own dialect."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_of_the_reference_fit(text: str) -> None:
    """Each example is accepted by the loader and by the schema."""
    load(file=("example", text), environ={})
    VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "nonsense: 1",
        "secrets: {a/../b: 'sm:x'}",
        "secrets: {a: {refresh: 5s}}",
        "secrets: {a: {ref: 'sm:x', decrypt: never}}",
        "trees: {a: 'sm:x'}",
        "cache: {refresh: '300'}",
        "listen: {ops: '9102'}",
        "listen: {unix: {mode: rw}}",
        "access: [{uid: 1}]",
        "quotas: {limits: {ssm.gett: 1}}",
        "quotas: {share: 2}",
        "fleet: {store: 'http://x', name: a}",
        "fleet: {store: 'redis://x'}",
        "failover: {s4: [a, b]}",
        "kms: {allow_keys: [mine]}",
        "kms: {data_key_cache: {max_bytes: much}}",
        "kms: {data_key_cache: {max_messages: -1}}",
        "s3: {max_object: large}",
        "identities: {default: {region: here}}",
        "log: {level: loud}",
    ],
)
def test_what_the_schema_refuses_the_loader_refuses_too(text: str) -> None:
    """An editor marks what the daemon would."""
    assert not VALIDATOR.is_valid(yaml.safe_load(text))
    with pytest.raises(ConfigError):
        load(file=("example", text), environ={})


def test_defaults_are_spelt_as_one_would_write_them() -> None:
    """Every default in the schema is itself accepted, and means the default."""
    defaults = {
        section: {key: described["default"] for key, described in properties.items() if "default" in described}
        for section, properties in SECTIONS.items()
        if section != "fleet"  # alone unless given
    }
    assert defaults["cache"]["stale_if_error"] == "1d"
    assert load(file=("defaults", json.dumps(defaults)), environ={}) == load(file=None, environ={})


SECTIONS = {
    section: SCHEMA["$defs"][name]["properties"]
    for section, name in [
        ("on_demand", "OnDemand"),
        ("cache", "Cache"),
        ("listen", "Listen"),
        ("quotas", "Quotas"),
        ("fleet", "Fleet"),
        ("kms", "Kms"),
        ("s3", "S3"),
        ("metrics", "MetricsSpec"),
        ("log", "Log"),
    ]
}


def keys() -> set[str]:
    """Give the dotted path of every key, <name> standing for a free one."""
    defs = SCHEMA["$defs"]
    found = set(SCHEMA["properties"])
    for section in ("on_demand", "cache", "listen", "quotas", "fleet", "kms", "s3", "metrics", "log"):
        found |= {f"{section}.{key}" for key in SECTIONS[section]}
    found |= {f"fleet.password.{key}" for key in defs["InFile"]["properties"]}
    found |= {f"kms.data_key_cache.{key}" for key in defs["DataKeyCache"]["properties"]}
    for prefix, name in (
        ("files[]", "FileSpec"),
        ("files[].on_change", "OnChange"),
        ("files[].on_change.http", "HttpHook"),
    ):
        found |= {f"{prefix}.{key}" for key in defs[name]["properties"]}
    found |= {f"listen.unix.{key}" for key in defs["Unix"]["properties"]}
    for prefix, name in [("secrets.<name>", "SecretSpec"), ("trees.<name>", "TreeSpec"), ("access[]", "AccessRule")]:
        found |= {f"{prefix}.{key}" for key in defs[name]["properties"]}
    return found | {f"identities.<name>.{key}" for key in defs["IdentitySpec"]["properties"]}


def test_the_reference_describes_every_key() -> None:
    """No key is undocumented, and no documented key is missing."""
    assert set(re.findall(r"^\| `([^`]+)` \|", REFERENCE, re.MULTILINE)) == keys() - {
        "on_demand",
        "cache",
        "listen",
        "quotas",
        "fleet",
        "fleet.password",
        "kms",
        "kms.data_key_cache",
        "s3",
        "metrics",
        "log",
        "listen.unix",
        "access[].gid",
        "files[].on_change.http",
    }


def test_the_reference_tells_every_default() -> None:
    """The default column says what the schema says."""
    told = dict(re.findall(r"^\| `([^`]+)` \| [^|]+ \| `?([^`|]*?)`? \|", REFERENCE, re.MULTILINE))
    for section, properties in SECTIONS.items():
        for key, described in properties.items():
            if isinstance(described.get("default"), str):
                assert told[f"{section}.{key}"] == described["default"], key
