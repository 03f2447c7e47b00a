"""Attackers that stay as near to the honest as these are to one another, against robust rules.

The digits of configs/aggregation_study.py, with three of fifteen clients attacking.

Command:
    fedbrain compare stealthy_attacks

Time: 4 min of CPU; 36 cells, of which twelve run the rule 17 times a round.

Expect (accuracy in %, 95 % interval of the mean over five seeds, under min-max): divide and conquer
95.7 (94.7 to 96.7), FedAvg 94.8 (94.0 to 95.7), median 93.5 (92.7 to 94.3); under optimised IPM
median 89.0 (86.1 to 91.9), trimmed mean 85.4 (82.6 to 88.1), divide and conquer 60.8 (45.6 to
76.0), FedAvg at the floor; the commonest class 8.8 (6.9 to 10.6).
"""

from fedbrain.configs import aggregation_study

RULES = {
    "median": {"aggregator": "median()"},
    "trimmed mean": {"aggregator": "trimmed_mean(num_byzantine=3)"},
    "Multi-Krum": {"aggregator": "multi_krum(num_byzantine=3)"},
    "divide and conquer": {"aggregator": "divide_and_conquer(num_byzantine=3)"},
    "NNM, trimmed mean": {
        "links": ("nearest_neighbour_mixing(num_byzantine=3)",),
        "aggregator": "trimmed_mean(num_byzantine=3)",
    },
}
ATTACKS = {
    "ALIE": "a_little_is_enough(num_byzantine=3, clients=15)",
    "min-max": "min_max(num_byzantine=3)",
    "min-sum": "min_sum(num_byzantine=3)",
    "optimised ALIE": "optimised_alie(num_byzantine=3)",
    "optimised IPM": "optimised_ipm(num_byzantine=3)",
}


def get_config():
    """Six rules, with nobody attacking and under five attacks; five seeds."""
    config = aggregation_study.get_config()
    for attack in set(config.attacks) - {"none"}:
        del config.attacks[attack]
    for method in set(config.methods) - {"FedAvg"}:
        del config.methods[method]
    config.attacks.update({name: {"attack": (link,)} for name, link in ATTACKS.items()})
    config.methods.update({name: {"server": rule} for name, rule in RULES.items()})
    config.against = ("FedAvg",)
    return config
