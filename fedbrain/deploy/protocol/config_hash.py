"""The hash that identifies the configuration of a job, at the server and at every site."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fedbrain.experiments.workdir import clean

OWN = (
    "sites",
    "cache",
)  # fields of a configuration that are a site's own: a job that sets them is refused


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of a configuration without a site's own fields: equal at the server and all sites.

    Args:
      config: nested fields of an experiment.
    """
    shared = clean({name: value for name, value in config.items() if name not in OWN})
    return hashlib.sha256(
        json.dumps(shared, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()
