"""Find and read the configuration's file, as the daemon and those who look for its socket do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidecar.core.errors import ConfigError, Problem

PLACES: Final = (Path("sidecar.yaml"), Path("/etc/sidecar/sidecar.yaml"))
"""Where the file is looked for when nothing names it."""


def find_config(option: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Give the file that configures: the one that is named, else the first that is there, else None."""
    if option:
        return option
    if named := environ.get("SIDECAR_CONFIG"):
        return Path(named)
    return next((place for place in PLACES if is_there(place)), None)


def is_there(place: Path) -> bool:
    """Tell whether something is there, or hidden where this user may not look."""
    try:
        return place.exists()
    except OSError:  # Python 3.11 raises where the folder may not be searched: reading it will say so in one line
        return True


def read_text(path: Path) -> tuple[str, str]:
    """Give a file's name and text; raises ConfigError."""
    try:
        return str(path), path.read_text("utf-8")
    except UnicodeDecodeError:
        what = "it is not UTF-8 text"
    except OSError as error:
        what = f"it cannot be read: {error.strerror}"
    raise ConfigError([Problem(str(path), "", what)])
