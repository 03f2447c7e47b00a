"""A server with examples of its own, under attack: FLTrust, FedDF and FedLAW beside FedAvg.

The digits of configs/aggregation_study.py; the examples of its first client are the server's.

Command:
    fedbrain compare server_examples

Time: 12 cells; not measured.

Expect: no number; the whole was not run.
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
