"""The study to start from, tuned: every method chooses among four settings by validation data.

Every method is tuned in the learning rate of its clients; one with a constant of its own in two
rates and two constants, so that all have equally many trials.

Command:
    fedbrain compare tuned_study

Time: 19 min of processor time; 50 min on 2 cores beside much other work.

Expect (accuracy in %, mean and 95 % over five seeds): FedAvg 96.5 (95.8-97.2) and FedExP 96.8
(95.8-97.8) without attack, 96.4 (95.6-97.2) and 96.7 (95.6-97.8) under IPM; a constant 8.8
(6.9-10.6).
"""

from fedbrain.configs import aggregation_study

RATES = ("sgd(0.03)", "sgd(0.1)", "sgd(0.3)", "sgd(1.0)")


def get_config():
    """12 methods, two conditions, five seeds, four settings each."""
    config = aggregation_study.get_config()
    del config.attacks["drop-out"]
    del config.attacks["label flip"]
    config.against = ("FedAvg",)
    config.tune.trials = 4
    config.tune.fields = {"client": {"optimizer": RATES}}
    middle = {"optimizer": RATES[1:3]}
    radii = ("centred_clipping(radius=1.0)", "centred_clipping(radius=10.0)")
    config.tune.methods.update(
        {
            "centred clipping": {"client": middle, "server": {"aggregator": radii}},
            "FedDyn": {"client": middle, "algorithm": ("feddyn(alpha=0.01)", "feddyn(alpha=0.1)")},
            "FedAdam": {
                "client": middle,
                "server": {"optimizer": ("fedadam(0.01)", "fedadam(0.03)")},
            },
        }
    )
    return config
