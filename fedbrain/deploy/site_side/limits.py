"""What the fields of a job that are no calls may hold at a site, and the floors and limits where
`site.toml` sets no other.
"""

import math
from collections.abc import Mapping

from fedbrain.deploy.site_side.bounds import Bound, number, several, whole, word, words

VALUES: Mapping[str, Bound] = {
    "client.batch_size": whole(1, 4096),
    "client.microbatches": whole(1, 4096),
    "client.epochs": whole(1, 1000),
    "rounds": whole(1, 10_000),
    "seed": whole(0, 2**31 - 1),
    "unit": word(40),
    "modalities": several(word(), 16),
    "splits.valid": number(0.05, 0.5),
    "splits.test": number(0.05, 0.5),
    "splits.seed": whole(0, 2**31 - 1),
    "splits.first": whole(0, 10_000),
    "splits.repeats": whole(1, 10_000),
    "splits.inner": whole(1, 10_000),
    "splits.stratify": words(),
    "server.trusted": several(word(), 64, least=0),
    "patience.stop": whole(0, 10_000),
    "patience.plateau": whole(0, 10_000),
    "patience.factor": number(0.01, 1),
    "checkpoint.keep": whole(2, 20),
}
AT_LEAST: Mapping[str, float] = {  # arbitrary, but above what a single person would be
    "client.batch_size": 4,
    "local_steps": 3,  # optimisation steps in a round: one step is an exact gradient
    "people_in_a_step": 2,  # different people in the smallest step of a round
}
ESTIMATES = ("memory_gib", "disk_gib")  # of a job; without a limit, what the machine has free
AT_MOST: Mapping[str, float] = {
    "rounds": 200,
    "client.epochs": 10,
    "splits.repeats": 10,  # every split asks as much as an experiment without
    "splits.inner": 10,
}


def require_limits(table: str, limits: Mapping[str, float | int]) -> None:
    """Raises ValueError for a limit that protects nothing: that nothing exceeds, or of nobody.

    Args:
      table: of `site.toml`, for the sentence.
      limits: its keys and numbers.
    """
    for key, value in limits.items():
        least = 1 if key in AT_LEAST else 0
        if not least <= value < math.inf:  # not NaN
            raise ValueError(
                f"[{table}] {key}: expected a finite number from {least} on, got {value:g}."
            )
