from pathlib import Path

from sidecar.cli.configured import load_config, read_config


def test_defaults_are_the_weakest() -> None:
    """What a command knows better yields to the file, and that to the environment."""
    config = load_config(
        ("sidecar.yaml", "cache: {refresh: 20s}"),
        {"SIDECAR_CACHE__MIN_REFRESH": "3s"},
        ("defaults", "cache: {refresh: 2s, min_refresh: 2s, negative_ttl: 2s}"),
    )
    assert (config.cache.refresh, config.cache.min_refresh, config.cache.negative_ttl) == (20, 3, 2)


def test_the_file_that_is_found_is_read(folder: Path) -> None:
    """With the environment over it; without any file the environment is all there is."""
    assert not read_config(None, {"SIDECAR_CONFIG_YAML": "secrets: {}"}).secrets
    (folder / "sidecar.yaml").write_text("secrets: {a: sm:a}")
    (folder / "other.yaml").write_text("secrets: {b: sm:b}")
    assert list(read_config(None, {}).secrets) == ["a"]
    assert list(read_config(Path("other.yaml"), {"SIDECAR_SECRETS": "c=sm:c"}).secrets) == ["b", "c"]
