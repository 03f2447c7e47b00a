"""Writes tests/golden/privacy.json: epsilon by Google's accountants, to check ours against.

In an environment of its own (dp-accounting needs older versions of what others need):

    pip install dp-accounting==0.6.0
    python tools/make_golden_privacy.py
"""

import json
from pathlib import Path

from dp_accounting import (  # pyright: ignore[reportMissingImports]
    GaussianDpEvent,
    NeighboringRelation,
    SelfComposedDpEvent,
    pld,
    rdp,
)

PATH = Path(__file__).parents[1] / "tests/golden/privacy.json"
CASES = [  # noise multiplier, sums, delta
    (1.0, 1, 1e-5),
    (4.0, 20, 1e-5),
    (6.12, 20, 1e-5),
    (20.0, 60, 1e-5),
    (0.7, 3, 1e-6),
    (50.0, 100, 1e-3),
    (12.0, 201, 1e-7),
]
ZERO_OUT = NeighboringRelation.REPLACE_SPECIAL  # one person's term is there, or is 0


def epsilons(noise: float, sums: int, delta: float) -> tuple[float, float]:
    """(by privacy loss distributions, by Renyi divergences, which is an upper bound)."""
    event = SelfComposedDpEvent(GaussianDpEvent(noise), sums)
    tight = pld.PLDAccountant(ZERO_OUT, value_discretization_interval=1e-4)
    loose = rdp.RdpAccountant(neighboring_relation=ZERO_OUT)
    return tuple(a.compose(event).get_epsilon(delta) for a in (tight, loose))


if __name__ == "__main__":
    keys = ("noise_multiplier", "sums", "delta_dp", "pld", "rdp")
    rows = [dict(zip(keys, (*case, *epsilons(*case)))) for case in CASES]
    PATH.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
