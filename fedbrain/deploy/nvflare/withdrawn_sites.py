"""The sites that the lead withdrew: the engine's server keeps them in a file of its kit and lets
none of them log in. A job that runs knows its sites from its start, so it reads the file itself.
"""

import json
from pathlib import Path

FILE = "disabled_clients.json"  # of the engine


def withdrawn_sites(kit: Path) -> set[str]:
    """Names of sites that get no question, and whose answers are dropped.

    Args:
      kit: of the server.

    Raises:
      ValueError: when the file is damaged.
    """
    path = kit / FILE
    if not path.is_file():
        return set()
    try:
        return {
            str(name) for name in json.loads(path.read_text(encoding="utf-8"))["disabled_clients"]
        }
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: expected names of sites, got a damaged file.") from None
