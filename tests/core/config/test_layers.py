"""Later places win, and every key remembers where it was set."""

from collections.abc import Mapping

from sidecar.core.config.document import Path
from sidecar.core.config.layers import Layer, merged, origin, read_layers, socket_path, suggestion, value_at, variable

SCALARS: Mapping[str, Path] = {
    "SIDECAR_CACHE__TTL": ("cache", "ttl"),
    "SIDECAR_LISTEN__UNIX__PATH": ("listen", "unix", "path"),
}
FILE = ("sidecar.yaml", "cache:\n  ttl: 1m\n  refresh: 5s\naccess:\n  - uid: 1\n  - uid: 2\n")


def read(environ: Mapping[str, str], *texts: tuple[str, str]) -> tuple[Layer, ...]:
    """Read places with two keys that have variables."""
    return read_layers(texts, environ, SCALARS)


def test_later_wins() -> None:
    """Scalars win over $SIDECAR_SECRETS, that over $SIDECAR_CONFIG_YAML, that over the file."""
    everywhere = {
        "SIDECAR_CACHE__TTL": "4m",
        "SIDECAR_SECRETS": "b=secrets;c=secrets",
        "SIDECAR_CONFIG_YAML": "secrets: {a: text, b: text}\ncache: {ttl: 3m}",
    }
    layers = read(everywhere, ("sidecar.yaml", "secrets: {a: file, d: file}\ncache: {ttl: 2m, refresh: 5s}"))
    assert merged(layers) == {
        "secrets": {"a": "text", "b": "secrets", "c": "secrets", "d": "file"},
        "cache": {"ttl": "4m", "refresh": "5s"},
    }


def test_only_mappings_are_merged() -> None:
    """A list, a scalar or nothing replaces what was there."""
    layers = read({"SIDECAR_CONFIG_YAML": "a: [3]\nb: {x: 1}\nc:"}, ("f", "a: [1, 2]\nb: text\nc: {y: 1}"))
    assert merged(layers) == {"a": ["3"], "b": {"x": "1"}, "c": None}


def test_merging_leaves_the_places_as_they_were() -> None:
    """What a place says stays to be told, though another wins."""
    layers = read({"SIDECAR_CACHE__TTL": "4m"}, FILE)
    merged(layers)
    assert layers[0].values["cache"] == {"ttl": "1m", "refresh": "5s"}


def test_each_key_is_traced_to_where_it_was_set() -> None:
    """The place that won is named, with its line where it has lines."""
    layers = read({"SIDECAR_CACHE__TTL": "4m", "SIDECAR_CONFIG_YAML": "\nsecrets:\n  a: x"}, FILE)
    where = {path: origin(layers, path).where for path in PATHS}
    assert where == PATHS


PATHS: Mapping[Path, str] = {
    ("cache", "ttl"): "$SIDECAR_CACHE__TTL",
    ("cache", "refresh"): "sidecar.yaml line 3",
    ("secrets", "a"): "$SIDECAR_CONFIG_YAML line 3",
    ("secrets", "a", "ref"): "$SIDECAR_CONFIG_YAML line 3",  # what is not there is looked for where it should be
    ("access", 1, "uid"): "sidecar.yaml line 6",
    ("quotas",): "",
}


def test_a_key_is_not_looked_for_in_what_was_replaced() -> None:
    """The second place has a list of its own, so the first one's keys are not meant."""
    layers = read({"SIDECAR_CONFIG_YAML": "access:\n- gid: 1"}, FILE)
    assert origin(layers, ("access", 0, "uid")).where == "$SIDECAR_CONFIG_YAML line 2"


def test_secrets_in_one_variable() -> None:
    """$SIDECAR_SECRETS holds name=ref between semicolons; spaces, line breaks and empty entries do not matter."""
    (layer,) = read({"SIDECAR_SECRETS": " db = sm:prod/db?stage=A=B#password ;\n;api=ssm:/prod/api;"})
    assert layer.values == {"secrets": {"db": "sm:prod/db?stage=A=B#password", "api": "ssm:/prod/api"}}
    assert origin((layer,), ("secrets", "db")).where == "$SIDECAR_SECRETS"


def test_secrets_that_cannot_be_read_are_counted_not_repeated() -> None:
    """An entry that is none may be a secret itself."""
    (layer,) = read({"SIDECAR_SECRETS": "hunter2;=x;y=;a=1;a=2"})
    assert [(fault.path, fault.what) for fault in layer.faults] == [
        ((), "want name=ref between semicolons, got something else as entry 1"),
        ((), "want name=ref between semicolons, got something else as entry 2"),
        ((), "want name=ref between semicolons, got something else as entry 3"),
        (("secrets", "a"), "want it once, got it again as entry 5"),
    ]


def test_a_variable_without_a_key_is_a_fault_with_the_nearest_one() -> None:
    """A slip in a name must not be silent; the value is not repeated."""
    near, far = read({"SIDECAR_CACHE__TLL": "hunter2", "SIDECAR_X__Y": "hunter2"})
    assert [fault.what for fault in (*near.faults, *far.faults)] == [
        "no key has this variable; did you mean SIDECAR_CACHE__TTL?",
        "no key has this variable; lists and names of your own go into $SIDECAR_CONFIG_YAML",
    ]
    assert near.where(0) == "$SIDECAR_CACHE__TLL"


def test_other_variables_are_ignored() -> None:
    """Kubernetes injects SIDECAR_PORT and more for a Service of that name."""
    assert (
        read({"SIDECAR_PORT": "tcp://10.0.0.1:80", "SIDECAR_CONFIG": "x", "SIDECAR_SOCKET": "y", "OTHER__X": "z"}) == ()
    )


def test_a_variable_without_value_means_nothing() -> None:
    """As in YAML: empty, ~ and null are None."""
    assert [merged(read({"SIDECAR_CACHE__TTL": text})) for text in ("", "~", "null")] == [{"cache": {"ttl": None}}] * 3


def test_variables_are_named_after_their_keys() -> None:
    """Two underscores stand between the parts."""
    assert variable(("cache", "stale_if_error")) == "SIDECAR_CACHE__STALE_IF_ERROR"


def test_values_are_found_by_path() -> None:
    """Nothing is found where nothing is."""
    values = merged(read({}, FILE))
    assert value_at(values, ("access", 1, "uid")) == "2"
    assert [value_at(values, path) for path in [("access", 2), ("cache", 0), ("cache", "ttl", "x"), ("x", "y")]] == [
        None
    ] * 4


def test_a_client_finds_the_socket_whatever_else_is_wrong() -> None:
    """Only `listen.unix.path` is looked at, wherever it is set."""
    file = ("sidecar.yaml", "nonsense: *x\nlisten: {unix: {path: /a.sock}}")
    assert socket_path(file, {}) == "/a.sock"
    assert socket_path(file, {"SIDECAR_LISTEN__UNIX__PATH": "/b.sock", "SIDECAR_X__Y": ""}) == "/b.sock"
    assert socket_path(None, {}) is None
    assert socket_path(("f", "listen: {unix: {path: {}}}"), {}) is None


def test_suggests_only_what_looks_alike() -> None:
    """A far name gets no suggestion, and a huge one costs nothing."""
    assert suggestion("tll", ["ttl", "refresh"]) == "; did you mean ttl?"
    assert suggestion("quotas", ["ttl", "refresh"]) == ""
    assert suggestion("x" * 1_000_000, ["ttl", "refresh"]) == ""
