r"""The published second stage: from brain age to SDMT in multiple sclerosis, at three centres.

SDMT is the Symbol Digit Modalities Test.

Command, after configs/brain_age.py:
    fedbrain train sdmt \
        --site brussels=/data/brussels,label=sdmt:score \
        --site greifswald=/data/greifswald,label=sdmt:score \
        --site prague=/data/prague,label=sdmt:score

This is deep transfer (all layers). Shallow: --config.trainable="only_head()"; in between:
--config.trainable="after('transition3')"; from scratch: --config.initial="random()"; from a PyTorch
model: --config.initial="file('MODEL.pt', head=False)". Several scans of a person are used, and stay
in one part of the split.

For targets relative to a country's norm add to config.norms "regression_norm('prague', 8.34, 67.18,
powers={'age': (0, 0, -2.0145e-4, 2.3585e-6)}, at_least={'education_years': (16, 3.865)})", and
`columns` of `bids` that name age and education.

Time: not measured.

Expect, published (Frontiers in Digital Health 2026, doi 10.3389/fdgth.2026.1691088): test MAE 9.19
points deep, 11.05 shallow, on 96, 756 and 2,424 images. Not run by us: these cohorts are not
public.
"""

from fedbrain.configs import base


def get_config():
    """As the first stage, with another target, unit and starting point."""
    config = base.get_config()
    config.unit = "points"
    config.sites = {
        name: "bids('', label='phenotype/sdmt:score')"
        for name in ("brussels", "greifswald", "prague")
    }
    config.prepare = "conform(voxel_size_mm=1.4, shape=(130, 130, 130), mask='foreground')"
    config.initial = "run('runs/brain_age', split='repeat0-split0', head=False)"
    config.loss = "l1(centre=45.0, scale=12.0)"
    config.patience = {"stop": 10, "plateau": 3, "factor": 0.5}
    config.describe = ("histogram('target', 0, 110, 11)",)
    return config
