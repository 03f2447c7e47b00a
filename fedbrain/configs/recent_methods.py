"""Algorithms for unlike clients that the other studies leave out, each with four settings tried.

The digits of configs/aggregation_study.py, dealt out by class to fifteen clients; nobody attacks.

Command:
    fedbrain compare recent_methods

Time: 13 min of CPU; 10 methods of four trials, in each of five seeds.

Expect (accuracy in %, 95 % interval of the mean over five seeds): FedAvg 96.5 (96.0 to 97.0),
FedSAM 96.9 (95.8 to 98.0), FedADMM 96.9 (95.9 to 97.8), FedDC 96.1 (94.2 to 98.0), no method apart
from FedAvg; the commonest class 7.8 (6.7 to 8.9). docs/results.md has all of them.
"""

from fedbrain.configs import study

RATES = ("sgd(0.1)", "sgd(0.3)", "sgd(1.0)", "sgd(3.0)")
MIDDLE = RATES[1:3]
REPORTED = "report_discrepancy(bins=10)"

# method -> (what it sets, what it is tuned in beside two rates; empty: the four rates)
METHODS = {
    "FedAvg": ({}, {}),
    "FedSAM": ({}, {"algorithm": ("fedsam(rho=0.01)", "fedsam(rho=0.1)")}),
    "FedLESAM": ({}, {"algorithm": ("fedlesam(rho=0.01)", "fedlesam(rho=0.1)")}),
    "FedACG": ({}, {"algorithm": ("fedacg(momentum=0.5)", "fedacg(momentum=0.85)")}),
    "FedADMM": ({}, {"algorithm": ("fedadmm(penalty=0.01)", "fedadmm(penalty=0.1)")}),
    "FedDC": ({}, {"algorithm": ("feddc(alpha=0.01)", "feddc(alpha=0.1)")}),
    "MOON": ({}, {"algorithm": ("moon(penalty=0.1)", "moon(penalty=1.0)")}),
    "FedDisco": (
        {"algorithm": REPORTED},
        {"server": {"aggregator": ("feddisco(a=0.1, b=0.1)", "feddisco(a=0.5, b=0.1)")}},
    ),
    "FedDG-GA": (
        {"algorithm": "report_gap()"},
        {
            "server": {
                "aggregator": tuple(
                    f"generalization_adjustment(clients=15, rounds=100, step={d})"
                    for d in (0.05, 0.2)
                )
            }
        },
    ),
    "FedCE": (
        {"algorithm": "report_left_out_loss()", "server": {"aggregator": "fedce(clients=15)"}},
        {},
    ),
}


def get_config():
    """An MLP, five local steps, 100 rounds, five seeds."""
    config = study.get_config()
    config.problem = "digits(clients=15, similarity=0.3)"
    config.model = "mlp(widths=(32,))"
    config.rounds = 100
    config.client.steps = 5
    config.evaluated = "shared"
    config.methods = {name: own for name, (own, _) in METHODS.items()}
    config.against = ("FedAvg",)
    config.tune.trials = 4
    config.tune.fields = {"client": {"optimizer": RATES}}
    two = {"client": {"optimizer": MIDDLE}}
    config.tune.methods.update(
        {name: {**two, **tuned} for name, (_, tuned) in METHODS.items() if tuned}
    )
    return config
