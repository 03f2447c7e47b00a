"""Brain age on real scans: one BIDS tree (IXI, Hammersmith) cut into three simulated hospitals of different ages.

Command: python -m fedbrain.main --config=configs/ixi_hh.py --config.sites.hh="bids('FOLDER')"

Full-head T1w images, neither skull-stripped nor registered, at 5 mm. Five splits, a cross-validation: every person is
tested once by a model that never saw them.
"""

from configs import base


def get_config():
    """A small SFCN, three local epochs a round, cosine learning rate."""
    config = base.get_config()
    config.sites = {"hh": "bids('')"}
    config.prepare = "conform(voxel_size_mm=5.0, shape=(34, 38, 34), mask='foreground')"
    config.partition = "by_target(clients=3, overlap=0.4)"
    config.splits = {"valid": 0.1, "test": 0.2, "seed": 0, "repeats": 5, "inner": 1}
    config.regimes = ("federated",)
    config.augment = "augment(flip=True, shift=3)"
    config.model = "adapted_sfcn(channels=(16, 32, 64, 64, 64), dropout=0.3)"
    config.loss = "l1(centre=50.0, scale=15.0)"
    config.rounds = 60
    config.client.optimizer = "adam(2e-3)"
    config.client.epochs = 3
    config.schedule = "cosine()"
    return config
