"""Robust rules under attack on non-IID digits, with and without bucketing.

25 clients, of which 5 are Byzantine. The grid of Karimireddy et al. (2022),
https://arxiv.org/abs/2006.09365, on scikit-learn's digits instead of MNIST.

Command:
    fedbrain compare byzantine_digits

Time: 6 min 42 s on 2 cores.

Expect (accuracy in %, mean and range over five seeds, under IPM, without and with bucketing):
centred clipping 92.8 (91.7-93.9) and 94.1 (93.6-95.2), Krum 6.6 (0.3-9.8) and 34.3 (30.3-41.5);
a constant prediction 8.0. docs/results.md has the table beside the published one.
"""

from fedbrain.configs import study

RULES = {
    "mean": "uniform_mean()",
    "Krum": "krum(num_byzantine=5)",
    "median": "median()",
    "RFA": "geometric_median(iterations=8, smoothing=0.1)",
    "CClip": "centred_clipping(radius=1.0)",
}
# 13 buckets hold at most 5 Byzantine clients; Krum's bound allows (13 - 3) / 2.
BUCKETED = RULES | {"Krum": "krum(num_byzantine=2)"}


def get_config():
    """An MLP 64-32-10, one local step of 32 examples a round, 600 rounds."""
    config = study.get_config()
    config.problem = "digits(clients=25, attackers=5)"
    config.model = "mlp(widths=(32,))"
    config.rounds = 600
    config.every = 20
    config.client.optimizer = "sgd(1.0)"  # one gradient: radii are in the paper's units
    config.server.optimizer = "sgd(0.05)"
    config.evaluated = "shared"
    config.score = "last_five"
    config.attacks.update(
        {
            "none": {},
            "IPM": {"attack": ("inner_product_manipulation(num_byzantine=5, epsilon=0.1)",)},
            "ALIE": {"attack": ("a_little_is_enough(num_byzantine=5, clients=25)",)},
            "bit flip": {"attack": ("sign_flip(num_byzantine=5)",)},
            "label flip": {"label_flip": 5},
            "mimic": {"attack": ("mimic(num_byzantine=5)",)},
        }
    )
    for name, rule in RULES.items():
        config.methods[name] = {"server": {"aggregator": rule}}
        bucketed = {"links": ("bucketing(size=2)",), "aggregator": BUCKETED[name]}
        config.methods[f"{name}, s=2"] = {"server": bucketed}
    del config.methods["FedAvg"]
    return config
