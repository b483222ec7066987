import json
from itertools import pairwise

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from sidecar.aws.models import OPERATIONS, TrimmedLoader, trimmed_endpoints, trimmed_model


def undocumented(node: object) -> object:
    """Drop the documentation, as the loader does."""
    if isinstance(node, dict):
        return {key: undocumented(value) for key, value in node.items() if key != "documentation"}
    return [undocumented(item) for item in node] if isinstance(node, list) else node


@pytest.mark.parametrize("service", OPERATIONS)
def test_keeps_whole_what_it_keeps(service: str) -> None:
    """Each operation that is used has the same input, output and errors as in botocore's own model."""
    trimmed, whole = (
        TrimmedLoader().load_service_model(service, "service-2"),
        Loader().load_service_model(service, "service-2"),
    )
    assert set(trimmed["operations"]) == set(OPERATIONS[service])  # type: ignore[call-overload]
    model = ServiceModel(trimmed, service)
    for name in OPERATIONS[service]:
        operation = model.operation_model(name)
        assert operation.input_shape is not None or name == "GetCallerIdentity"
        assert operation.output_shape.members  # walks the shapes that it reaches
    kept = trimmed["shapes"]
    assert isinstance(kept, dict)
    assert kept == {name: undocumented(whole["shapes"][name]) for name in kept}
    assert trimmed["metadata"] == whole["metadata"]


@pytest.mark.parametrize(("service", "times"), [("ssm", 100), ("secretsmanager", 10), ("kms", 8), ("sts", 5)])
def test_is_much_smaller(service: str, times: int) -> None:
    """What is kept is a small part of the whole."""
    trimmed = TrimmedLoader().load_service_model(service, "service-2")
    whole = Loader().load_service_model(service, "service-2")
    assert len(json.dumps(trimmed)) * times < len(json.dumps(whole))


def test_loads_each_file_once() -> None:
    """Sessions that share the loader share the models."""
    loader = TrimmedLoader()
    loader.preload("ssm")
    first = loader.load_service_model("ssm", "service-2")
    assert loader.load_service_model("ssm", "service-2", "2014-11-06") is first
    assert loader.load_data("endpoints") is loader.load_data("endpoints")


def test_the_table_of_hosts_keeps_our_services() -> None:
    """Every partition stays with its regions, and in it the services that are used, as botocore has them."""
    trimmed, whole = TrimmedLoader().load_data("endpoints"), Loader().load_data("endpoints")
    assert isinstance(trimmed["partitions"], list)
    for ours, theirs in zip(trimmed["partitions"], whole["partitions"], strict=True):
        assert ours["regions"] == undocumented(theirs["regions"])
        assert ours["services"] == {name: hosts for name, hosts in theirs["services"].items() if name in OPERATIONS}
    assert TrimmedLoader().is_builtin_path(TrimmedLoader().load_data_with_path("endpoints")[1])


def test_loads_other_services_whole() -> None:
    """Single sign-on, which the credential chain may need, is there as ever."""
    assert "GetRoleCredentials" in str(TrimmedLoader().load_service_model("sso", "service-2")["operations"])


def test_a_member_called_documentation_is_no_documentation() -> None:
    """Only text is dropped: a shape's member of that name stays."""
    shapes = {"In": {"type": "structure", "members": {"documentation": {"shape": "Text"}}}, "Text": {"type": "string"}}
    model = {
        "documentation": "long",
        "operations": {
            "Do": {"input": {"shape": "In"}, "documentation": "long"},
            "Dont": {"input": {"shape": "Other"}},
        },
        "shapes": {**shapes, "Other": {"type": "string", "documentation": "long"}},
        "metadata": {"list": [1, {"documentation": "long"}]},
    }
    for indent in (None, 2):
        assert trimmed_model(json.dumps(model, indent=indent), frozenset({"Do"})) == {
            "operations": {"Do": {"input": {"shape": "In"}}},
            "shapes": shapes,
            "metadata": {"list": [1, {}]},
        }


@pytest.mark.parametrize("text", ["{", '{"a": 1', '{"partitions": [{"services": {}}'])
def test_a_damaged_file_is_said_to_be(text: str) -> None:
    """A file that ends early is an error, not half a model."""
    with pytest.raises(ValueError, match=r"damaged|Expecting"):
        trimmed_endpoints(text)


def test_reads_versions_of_the_same_name_apart() -> None:
    """Each kind of file of a service is its own."""
    loader = TrimmedLoader()
    kinds = [loader.load_service_model("kms", kind) for kind in ("service-2", "endpoint-rule-set-1", "paginators-1")]
    assert all(one is not other for one, other in pairwise(kinds))
