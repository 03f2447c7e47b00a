"""Renews certificates: the engine gives every participant the certificate that it remembers, with
its serial number and its end; what it remembers of them is put away, and the authority stays.
"""

import json
from pathlib import Path

from fedbrain.experiments.workdir import write_json

AUTHORITY = ("root_cert", "root_pri_key")


def forget_certificates(work: Path, name: str) -> None:
    """Leaves the authority alone in the engine's memory, so that all others are made anew.

    Args:
      work: folder of the authority.
      name: of the consortium.
    """
    path = work / name / "state/cert.json"
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, {key: value for key, value in known.items() if key in AUTHORITY})
        path.chmod(0o600)
