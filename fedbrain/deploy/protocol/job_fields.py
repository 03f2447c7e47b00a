"""What every job has, alone or in a study: what these fields may be, before anything reads them."""

import re
from collections.abc import Mapping
from typing import Any

from fedbrain.deploy.protocol.wire import Refused

KEYS = {"config", "target", "sites"}
TARGET = re.compile(r"[A-Za-z0-9_-]{1,64}")  # it is part of the name of a folder
# of a site, in certificates and jobs: no letter that looks like another
SITE = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def require_fields(fields: Mapping[str, Any]) -> None:
    """Raises Refused when a field of a job has another type, or a name that is none.

    Args:
      fields: with those of `KEYS`.
    """
    sites = fields["sites"]
    names = isinstance(sites, list | tuple) and all(isinstance(name, str) for name in sites)
    if not names or not sites or len(set(sites)) != len(sites):
        raise Refused("sites: expected the names of sites, each once, got something else")
    strange = [name for name in sites if not SITE.fullmatch(name)]
    if strange:
        raise Refused(
            f"sites: expected names of small letters, digits, - and _, got {ascii(strange[0])[:80]}"
        )
    if not isinstance(fields["config"], Mapping) or not isinstance(fields["target"], str):
        raise Refused("job: expected fields of an experiment and the name of a target, got others")
    if not TARGET.fullmatch(fields["target"]):
        raise Refused(f"target: expected letters, digits, - and _, got {fields['target'][:80]!r}")
