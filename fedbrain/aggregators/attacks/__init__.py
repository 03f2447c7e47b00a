"""Attacks and failures, as links that keep the clients axis and stand first in a server chain.

The last `num_byzantine` of those present are the attacker; an omniscient one knows all honest
updates. For research on rules: no entry point switches one on unless a configuration names it.
"""

from fedbrain.aggregators.attacks.beside import lie_beside
from fedbrain.aggregators.attacks.failures import drop_out, gaussian, not_a_number, scale, sign_flip
from fedbrain.aggregators.attacks.omniscient import (
    a_little_is_enough,
    inner_product_manipulation,
    mimic,
)
from fedbrain.aggregators.attacks.searching import optimised_alie, optimised_ipm
from fedbrain.aggregators.attacks.stealthy import min_max, min_sum

ATTACKS = {
    "inner_product_manipulation": inner_product_manipulation,
    "a_little_is_enough": a_little_is_enough,
    "mimic": mimic,
    "min_max": min_max,
    "min_sum": min_sum,
    "sign_flip": sign_flip,
    "scale": scale,
    "gaussian": gaussian,
    "not_a_number": not_a_number,
    "drop_out": drop_out,
}

LIES = {"lie_beside": lie_beside}  # no links: they act on all that arrives
# no links either: they have to know what stands behind them
SEARCHES = {"optimised_alie": optimised_alie, "optimised_ipm": optimised_ipm}
EVERY = {**ATTACKS, **LIES, **SEARCHES}
