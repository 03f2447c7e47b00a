"""What `[privacy]` of a site's `site.toml` demands.

[privacy]
epsilon_at_most = 3.0            # of all experiments together; without it, any job may run
delta = 1e-5                     # for which epsilon is told; below 1 / people
masked = true                    # updates are sent under secure aggregation alone
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

KEYS: Mapping[str, type] = {"epsilon_at_most": float, "delta": float, "masked": bool}
DELTA = 1e-5  # usual in the literature


class Demands(NamedTuple):
    """The table."""

    epsilon_at_most: float | None = None  # None: differential privacy is not demanded
    delta_dp: float = DELTA
    masked: bool = False  # whether secure aggregation is demanded


def read_demands(table: Mapping[str, Any]) -> Demands:
    """Reads the table, whose keys and types were checked.

    Args:
      table: of the file; empty where there is none.

    Raises:
      ValueError: naming the key, for a value that protects nothing.
    """
    most, delta = table.get("epsilon_at_most"), table.get("delta", DELTA)
    if most is not None and not 0 < most <= 100:
        raise ValueError(
            f"[privacy] epsilon_at_most: expected above 0 and at most 100, got {most:g}."
        )
    if not 0 < delta < 1:
        raise ValueError(f"[privacy] delta: expected above 0 and below 1, got {delta:g}.")
    masked = table.get("masked", False)
    return Demands(None if most is None else float(most), float(delta), masked)


def require_small_delta(demands: Demands, people: int) -> None:
    """Refuses a delta that would allow to tell everything of one person.

    Args:
      demands: of the site.
      people: that it has.

    Raises:
      ValueError: naming the key.
    """
    if demands.delta_dp * people >= 1:
        raise ValueError(
            f"[privacy] delta: expected below 1 / {people}, the people of this site, got"
            f" {demands.delta_dp:g}."
        )
