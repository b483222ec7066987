"""Read configurations for the plan, as the daemon reads them."""

from sidecar.core.config.loading import load
from sidecar.core.config.models import Config


def configured(text: str) -> Config:
    """Read a configuration."""
    return load(file=("sidecar.yaml", text), environ={})


def secrets(kind: str, count: int, *, first: int = 0, **settings: str) -> str:
    """Declare secrets, all with the same settings."""
    more = "".join(f", {key}: {value}" for key, value in settings.items())
    return "\n".join(f'  s{n}: {{ref: "{kind}{n}"{more}}}' for n in range(first, first + count))
