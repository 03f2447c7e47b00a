"""Ten federated methods on real 3-D scans in hospitals of narrow ages, each tuned, five splits.

IXI's Hammersmith data cut into three simulated hospitals of 47 people: young, middle and old. Every
method tries four settings; each split takes the one with the smallest error on its validation
people. Equal trials: four client rates, or two rates x two constants where a method has its own.
Clients step by Adam, but where a formula needs SGD (FedNova, MimeLite).

Command:
    fedbrain sweep ixi_hh_methods --site hh="arrays('FILE.npz')"

Time: about 25 minutes of one core.

Expect, on 141 adults (95 % over people): FedBN 6.67 years (5.94-7.43), centralised 8.07
(7.16-9.18), FedAvg 11.97 (10.94-13.00); the median of a hospital's own people 6.21, of all 14.83.
"""

from fedbrain.configs import ixi_hh, sweep

ADAM = ("adam(3e-4)", "adam(1e-3)", "adam(3e-3)", "adam(1e-2)")
MIDDLE = ADAM[1:3]
# the loss is in years, squared, so that its curvature is about 225 times that of scaled ages
SGD = ("sgd(1e-6)", "sgd(3e-6)", "sgd(1e-5)", "sgd(3e-5)")
MOMENTUM = tuple(f"{rate[:-1]}, momentum=0.9)" for rate in SGD)


def _two_by_two(**own):
    """Two client rates times two values of a method's own."""
    client = {"optimizer": MIDDLE, **own.pop("client", {})}
    return {"client": client, **own}


# method -> (what it sets, what it is tuned in; empty: the four rates)
METHODS = {
    "centralised": ({"regimes": ("centralised",)}, {}),
    "local": ({"regimes": ("local",)}, {}),
    "FedAvg": ({}, {}),
    "FedProx": (
        {},
        _two_by_two(
            client={"transforms": (("add_proximal_term(10.0)",), ("add_proximal_term(1000.0)",))}
        ),
    ),
    "FedAvgM": (
        {},
        _two_by_two(server={"optimizer": ("fedavgm(1.0, beta=0.5)", "fedavgm(1.0, beta=0.9)")}),
    ),
    "FedAdam": (
        {},
        _two_by_two(server={"optimizer": ("fedadam(0.003)", "fedadam(0.01)")}),
    ),
    "FedExP": ({"server": {"aggregator": "fedexp()"}}, {}),
    "FedBN": ({"server": {"sharing": "without_batch_norm()"}}, {}),
    "SCAFFOLD": ({"algorithm": "scaffold()"}, {}),
    "FedDyn": ({}, _two_by_two(algorithm=("feddyn(alpha=10.0)", "feddyn(alpha=1000.0)"))),
    "FedNova": (
        {"server": {"aggregator": "fednova(momentum=0.9)"}},
        {"client": {"optimizer": MOMENTUM}},
    ),
    "MimeLite": ({"algorithm": "mimelite()"}, {"client": {"optimizer": SGD}}),
}


def get_config():
    """Shares of tissue and a linear layer at 8 mm, 15 rounds of two local epochs."""
    config = sweep.get_config()
    experiment = config.experiment
    experiment.update(ixi_hh.get_config())
    experiment.regimes = ("federated",)
    experiment.partition = "by_target(clients=3, overlap=0.4)"
    experiment.prepare = "conform(voxel_size_mm=8.0, shape=(20, 24, 20), mask='foreground')"
    experiment.model = "tissue_shares(cell=3, dropout=0.5)"
    experiment.loss = "l2(centre=50.0, scale=15.0)"
    experiment.augment = "none()"
    experiment.residence = "resident('float32')"
    experiment.splits.valid = 0.2
    experiment.rounds = 15
    experiment.client.epochs = 2
    experiment.client.batch_size = 12
    config.methods = {name: own for name, (own, _) in METHODS.items()}
    config.against = ("FedAvg", "centralised")
    config.tune.trials = 4
    config.tune.fields = {"client": {"optimizer": ADAM}}
    config.tune.methods.update({name: tuned for name, (_, tuned) in METHODS.items() if tuned})
    return config
