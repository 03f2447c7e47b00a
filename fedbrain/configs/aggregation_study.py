"""A study to start from: rules and algorithms, with and without attackers, on 15 clients.

The data are scikit-learn's digits, dealt out by class.

Command:
    fedbrain compare aggregation_study

Time: 2 min 21 s on 2 cores.

Expect (accuracy in %, mean and range over five seeds): FedAvg 95.7 (95.0-96.4) without attack, 94.9
(94.2-95.8) under IPM, 91.3 (89.7-92.8) under label flips; the commonest class 8.8 (6.4-10.3).
"""

from fedbrain.configs import study


def get_config():
    """An MLP, five local steps, 100 rounds, five seeds; three of fifteen clients attack."""
    config = study.get_config()
    config.problem = "digits(clients=15, attackers=3, similarity=0.3)"
    config.model = "mlp(widths=(32,))"
    config.rounds = 100
    config.client.optimizer = "sgd(0.1)"
    config.client.steps = 5
    config.evaluated = "shared"
    config.attacks.update(
        {
            "none": {},
            "IPM": {"attack": ("inner_product_manipulation(num_byzantine=3, epsilon=0.5)",)},
            "label flip": {"label_flip": 3},
            "drop-out": {"drop_out": 0.4},
        }
    )
    rules = {
        "median": "median()",
        "trimmed mean": "trimmed_mean(num_byzantine=3)",
        "Multi-Krum": "multi_krum(num_byzantine=3)",
        "geometric median": "geometric_median()",
        "centred clipping": "centred_clipping(radius=1.0)",
        "FLAME": "flame()",
        "FedExP": "fedexp()",
    }
    mixed_and_trimmed = {
        "links": ("nearest_neighbour_mixing(num_byzantine=3)",),
        "aggregator": rules["trimmed mean"],
    }
    config.methods.update({name: {"server": {"aggregator": rule}} for name, rule in rules.items()})
    config.methods.update(
        {
            "SCAFFOLD": {"algorithm": "scaffold()"},
            "FedDyn": {"algorithm": "feddyn(alpha=0.1)"},
            "FedAdam": {"server": {"optimizer": "fedadam(0.03)"}},
            "NNM, trimmed mean": {"server": mixed_and_trimmed},
        }
    )
    return config
