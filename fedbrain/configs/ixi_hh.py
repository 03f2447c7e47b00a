"""Brain age on real scans: IXI's Hammersmith data cut into three simulated hospitals.

The hospitals' people differ in age. Full-head T1w images, neither skull-stripped nor registered, at
6 mm; `arrays('FILE.npz')` reads brain-only volumes. Five splits, a cross-validation: every person
is tested once by a model that was not trained on them.

Command:
    fedbrain train ixi_hh --site hh=FOLDER

Time: 26 minutes on one core; 14 with brain-only volumes and --config.regimes="('federated',)".

Expect, on 141 adults (test MAE in years; one seed; mean and range over the five splits): federated
7.55 (5.78-8.80), centralised 6.82 (5.18-8.21), local 8.51 (7.86-9.28), median predictor 14.9. How
this configuration was chosen: docs/results.md.
"""

from fedbrain.configs import base


def get_config():
    """A small SFCN at 6 mm, three local epochs a round, cosine schedule, pooled statistics."""
    config = base.get_config()
    config.sites = {"hh": "bids('')"}
    config.prepare = "conform(voxel_size_mm=6.0, shape=(28, 32, 28), mask='foreground')"
    config.partition = "by_target(clients=3, overlap=1.0)"
    config.splits.update({"valid": 0.1, "test": 0.2, "repeats": 5})
    config.augment = "augment(flip=True, shift=3)"
    config.model = "adapted_sfcn(channels=(16, 32, 64, 64, 64), dropout=0.3)"
    config.loss = "l1(centre=50.0, scale=15.0)"
    config.rounds = 50
    config.client.optimizer = "adam(3e-3)"
    config.client.epochs = 3
    config.server.statistics = "pooled()"
    config.schedule = "cosine()"
    return config
