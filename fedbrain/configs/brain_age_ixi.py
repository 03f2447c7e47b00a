"""The brain age model that comes with fedbrain: real scans of IXI's Hammersmith Hospital.

Brains of `fedbrain prepare FOLDER --brain=template`, all people together (centralised), and a
network of 5,185 parameters. Five splits, a cross-validation: every person is tested once by a
model that was not trained on them. The release is the mean of the five models.

Command:
    fedbrain train brain_age_ixi --site hh=FOLDER,pipeline=fedbrain,columns.sex=sex

Time: 1.4 CPU-minutes, and 7 CPU-seconds a scan to prepare them before.

Expect, on 141 adults of 20 to 82 years (test MAE; 95 % over people): 5.96 years (5.29 to 6.72),
median predictor 14.82. docs/model_card_brain_age_ixi.md has the rest.
"""

from fedbrain.configs import base


def get_config():
    """Shares of tissue in cells of 22 mm and a linear layer: few parameters for few people."""
    config = base.get_config()
    config.sites = {"hh": "bids('', pipeline='fedbrain', columns={'sex': 'sex'})"}
    config.prepare = "registered(voxel_size_mm=2.8, shape=(64, 72, 64))"
    config.splits.update({"valid": 0.1, "test": 0.2, "repeats": 5})
    config.regimes = ("centralised",)
    config.augment = "augment(flip=False, shift=1, intensity=0.05)"
    config.model = "tissue_shares(cell=8, dropout=0.5)"
    config.loss = "l2(centre=50.0, scale=15.0)"
    config.rounds = 15
    config.client.optimizer = "adam(1e-3)"
    config.client.batch_size = 16
    config.client.epochs = 2
    config.schedule = "cosine()"
    config.report_by = ("histogram('target', 20, 90, 7)", "classes('sex', 0, 1)")
    return config
