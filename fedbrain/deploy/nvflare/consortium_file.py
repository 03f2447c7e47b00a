"""The file that describes a consortium: its server, its lead, its sites.

name: brain_age
server: {host: fl.example.org, port: 8002, organisation: Example}
lead: lead@example.org          # may submit and stop jobs, and withdraw sites
sites: {amber: Hospital A, birch: Hospital B}
"""

# The engine is an extra: `pip install -e '.[deploy]'`; it brings `yaml`.
# pyright: reportMissingModuleSource=false

from pathlib import Path
from typing import Any

import yaml

from fedbrain.deploy.protocol.job_fields import SITE

KEYS = {"name": str, "server": dict, "lead": str, "sites": dict}


def read_consortium(path: Path) -> dict[str, Any]:
    """Reads the file.

    Args:
      path: of the YAML file.

    Raises:
      ValueError: naming the file and the key, for what is missing, unknown or of another type.
    """
    try:
        consortium = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: expected a YAML file, got: {error}") from None
    if not isinstance(consortium, dict) or set(consortium) != set(KEYS):
        raise ValueError(
            f"{path}: expected the keys {', '.join(KEYS)}, got"
            f" {sorted(consortium) if isinstance(consortium, dict) else consortium!r}."
        )
    for key, kind in KEYS.items():
        if not isinstance(consortium[key], kind):
            raise ValueError(f"{path}: {key}: expected {kind.__name__}, got {consortium[key]!r}.")
    if set(consortium["server"]) != {"host", "port", "organisation"}:
        raise ValueError(
            f"{path}: server: expected host, port and organisation, got"
            f" {sorted(consortium['server'])}."
        )
    for name in [consortium["name"], *consortium["sites"]]:
        if not SITE.fullmatch(str(name)):
            raise ValueError(
                f"{path}: expected names of small letters, digits, - and _, got {name!r}."
            )
    for name in ("server", consortium["server"]["host"], consortium["lead"]):
        if name in consortium["sites"]:  # a certificate of this name plays the server or the lead
            raise ValueError(
                f"{path}: sites: expected another name than the server's and the lead's, got"
                f" {name!r}."
            )
    return consortium
