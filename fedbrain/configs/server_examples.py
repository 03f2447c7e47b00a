"""A server with examples of its own, under attack: FLTrust, FedDF and FedLAW beside FedAvg.

The digits of configs/aggregation_study.py; the examples of its first client are the server's.

Command:
    fedbrain compare server_examples

Time: 2 min of CPU.

Expect (accuracy in %, 95 % interval of the mean over five seeds, under label flips): FLTrust 93.8
(91.7 to 95.9), FedAvg 91.3 (89.7 to 92.9), FedDF 90.4 (89.2 to 91.7), FedLAW 69.4 (27.0 to 111.8):
one of its seeds ends at the floor; the commonest class 8.8 (6.9 to 10.6).
"""

from fedbrain.configs import aggregation_study

METHODS = {
    "FedAvg": {},
    "FLTrust": {"aggregator": "fltrust()"},
    "FedDF": {"refine": "feddf(steps=20, learning_rate=0.1)"},
    "FedLAW": {"refine": "fedlaw(steps=20, learning_rate=0.1)"},
}


def get_config():
    """Four methods, three conditions, five seeds; the server's own client is in every round."""
    config = aggregation_study.get_config()
    del config.attacks["drop-out"]
    for method in set(config.methods) - set(METHODS):
        del config.methods[method]
    config.server.trusted = ("c000",)
    config.methods.update({name: {"server": own} for name, own in METHODS.items()})
    config.against = ("FedAvg",)
    return config
