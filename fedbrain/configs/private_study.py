"""Utility against epsilon where whole clients are hidden: DP-FedAvg, with fixed and adaptive
clipping, and DP-FTRL.

The digits, dealt out at random; pixels are divided by their range. Either every client is in each
of 31 rounds, or each takes one turn. delta is 1 / (10 clients). For other numbers of clients, 3,
10 or 100: `fedbrain compare private_study:100`.

Command:
    fedbrain compare private_study

Time: 9 min on 2 cores with other work on them; 3 min 29 s of CPU.

Expect (accuracy in %, mean over five seeds, at epsilon 8, 3 and 1): everyone each round: DP-FedAvg
90.1, 89.7, 88.0 (90.3 without noise), adaptive 89.0, 88.2, 86.1, DP-FTRL 89.6, 87.6, 74.6; turns of
20: DP-FedAvg 84.8, 65.6, 29.3, DP-FTRL 84.2, 64.7, 32.0; the commonest class 7.8. With three
clients DP-FedAvg has 23.4, 13.5 and 10.3.
"""

import math
from typing import Any

from fedbrain.configs import study

# clients -> epsilon -> mu that is as private at delta = 1 / (10 clients), rounded down
MU = {
    3: {1: 0.6782, 3: 1.4253, 8: 2.7349},
    10: {1: 0.5325, 3: 1.2106, 8: 2.4488},
    100: {1: 0.3884, 3: 0.964, 8: 2.0832},
    1000: {1: 0.3139, 3: 0.8175, 8: 1.8413},
}
# clients -> (how many come at a time where each has one turn, the server's rate there)
TURNS = {3: ((1, 1.0),), 10: ((1, 1.0),), 100: ((2, 1.0),), 1000: ((20, 1.0), (5, 0.1))}
ROUNDS = 31  # in which everyone is; a tree moves least, for its length, at 2^k - 1 rounds
# how far one client moves a tree, in clipping norms: in all rounds sqrt(31 * 32 / 2), in one of
# them by one of each height
TREE = math.sqrt(ROUNDS * (ROUNDS + 1) / 2)


def _fixed(rule: str, expected: int, noise: float, delta: float) -> dict[str, Any]:
    call = f"{rule}({expected}, clip_norm=2.0, noise_multiplier={noise:.6f}, delta_dp={delta:g})"
    return {"server": {"aggregator": call}}


def _adaptive(expected: int, noise: float, delta: float) -> dict[str, Any]:
    call = (
        f"dp_fedavg_adaptive({expected}, noise_multiplier={noise:.6f}, count_noise={noise:.6f},"
        f" initial=1.0, delta_dp={delta:g})"
    )
    return {"server": {"aggregator": call}}


def _in_turn(n: int, cohort: int, rate: float, delta: float) -> dict[str, Any]:
    """Methods in which each client takes one turn: it is in one node of every height at most."""
    rounds = n // cohort
    turn = {"clock": "in_turn()", "cohort": cohort, "rounds": rounds, "every": rounds}
    named = {"DP-FedAvg, no noise": _fixed("dp_fedavg", cohort, 0.0, delta)}
    for epsilon, mu in MU[n].items():
        alone, tree = 1 / mu, math.sqrt(rounds.bit_length()) / mu
        named[f"DP-FedAvg, epsilon {epsilon}"] = _fixed("dp_fedavg", cohort, alone, delta)
        named[f"DP-FTRL, epsilon {epsilon}"] = _fixed("dp_ftrl", cohort, tree, delta)
    for own in named.values():
        own["server"]["optimizer"] = f"sgd({rate})"
    return {f"turns of {cohort}: {name}": turn | own for name, own in named.items()}


def get_config(clients: str = "1000"):
    """A linear model, five local steps, five seeds.

    Args:
      clients: 3, 10, 100 or 1000.
    """
    n = int(clients)
    config = study.get_config()
    config.problem = f"digits_in_range(clients={n}, similarity=1.0)"
    config.rounds = config.every = ROUNDS
    config.client.optimizer = "sgd(0.5)"
    config.client.steps = 5
    config.evaluated = "shared"
    delta = 0.1 / n
    config.methods.update(
        {
            "DP-FedAvg, no noise": _fixed("dp_fedavg", n, 0.0, delta),
            "adaptive, no noise": _adaptive(n, 0.0, delta),
        }
    )
    for epsilon, mu in MU[n].items():
        named = {
            "DP-FedAvg": _fixed("dp_fedavg", n, math.sqrt(ROUNDS) / mu, delta),
            "adaptive": _adaptive(n, math.sqrt(ROUNDS) / mu, delta),
            "DP-FTRL": _fixed("dp_ftrl", n, TREE / mu, delta),
        }
        config.methods.update({f"{name}, epsilon {epsilon}": own for name, own in named.items()})
    for cohort, rate in TURNS[n]:
        config.methods.update(_in_turn(n, cohort, rate, delta))
    return config
