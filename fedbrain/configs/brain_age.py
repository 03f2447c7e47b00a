r"""The published first stage: brain age from T1w MRI at three centres (IXI, SALD, Cam-CAN).

DenseNet-121, 100 rounds. Images of 130^3 at 1.4 mm. The published ones are brain-extracted and
affinely registered: for such derivatives use `pipeline` and `pattern` of `bids`, and
mask='nonzero'. Values from FLightcase's development plans: Adam 1e-3, L1, batch 8, learning rate
halved after 3 rounds without a better validation loss, stop after 10, split .6/.2/.2.

Command:
    fedbrain train brain_age \
        --site ixi=/data/IXI --site sald=/data/SALD --site camcan=/data/CamCAN

Time: not measured; docs/reproduction.md computes it.

Expect, published (Frontiers in Digital Health 2026, doi 10.3389/fdgth.2026.1691088): test MAE 6.08
years federated, 7.02 centralised; Pearson r .88, .91, .93. Not run by us: these data may not be
passed on freely.
"""

from fedbrain.configs import base


def get_config():
    """Defaults of `base` are the paper's; the validation loss is the aggregated model's."""
    config = base.get_config()
    config.sites = {"ixi": "bids('')", "sald": "bids('')", "camcan": "bids('')"}
    config.prepare = "conform(voxel_size_mm=1.4, shape=(130, 130, 130), mask='foreground')"
    config.patience = {"stop": 10, "plateau": 3, "factor": 0.5}
    config.describe = ("histogram('target', 10, 100, 9)",)
    config.report_by = ("histogram('target', 20, 80, 3)",)
    return config
