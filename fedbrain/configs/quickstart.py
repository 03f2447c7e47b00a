"""Brain age on three synthetic hospitals, in memory: every part of an experiment, once.

Command:
    fedbrain train quickstart

Time: 2 minutes on 2 cores.

Expect, SYNTHETIC (pooled test MAE in years; mean and range over seeds 0, 1, 2): federated 9.27
(8.83-10.05), centralised 7.90 (7.72-8.04), local 10.46 (10.16-10.78), median predictor 16.5.
"""

from fedbrain.configs import base


def get_config():
    """Three hospitals with other ages, scanners and sizes; a small network at 6 mm."""
    config = base.get_config()
    config.sites = {
        "amber": "synthetic('amber', subjects=160)",
        "birch": "synthetic('birch', subjects=120)",
        "cedar": "synthetic('cedar', subjects=60)",
    }
    config.prepare = "conform(voxel_size_mm=6.0, shape=(28, 32, 28), mask='nonzero')"
    config.model = "adapted_sfcn(channels=(16, 32, 64), dropout=0.2)"
    config.loss = "l1(centre=50.0, scale=15.0)"
    config.augment = "augment(flip=True, shift=1)"
    config.rounds = 30
    config.schedule = "cosine()"
    config.client.optimizer = "adam(3e-3)"
    config.describe = ("histogram('target', 10, 100, 9)",)
    return config
