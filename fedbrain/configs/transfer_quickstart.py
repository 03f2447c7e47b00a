r"""Transfer from brain age to SDMT on three synthetic hospitals.

Commands, deep transfer and shallow transfer, after the quickstart:
    fedbrain train quickstart
    fedbrain train transfer_quickstart
    fedbrain train transfer_quickstart \
        --config.trainable="only_head()" --workdir=runs/shallow

From scratch: --config.initial="random()" --workdir=runs/scratch. With FLAIR, which one hospital
does not acquire: add --config.modalities="('T1w', 'FLAIR')" to that, since the first layer then has
another shape.

Time: five shallow federated rounds took half a minute on 2 cores.

Expect, SYNTHETIC: no number; the whole was not run.
"""

from fedbrain.configs import quickstart


def get_config():
    """The network of the quickstart, on patients of the same hospitals."""
    config = quickstart.get_config()
    config.unit = "points"
    config.sites = {
        "amber": "synthetic('amber', subjects=60, ms=True, label='sdmt')",
        "birch": "synthetic('birch', subjects=120, ms=True, label='sdmt')",
        "cedar": "synthetic('cedar', subjects=240, ms=True, label='sdmt', flair=False)",
    }
    config.initial = "run('runs/quickstart', split='repeat0-split0', head=False)"
    config.loss = "l1(centre=45.0, scale=12.0)"
    config.describe = (
        "histogram('target', 0, 100, 10)",
        "histogram('age', 10, 100, 9)",
        "histogram('lesion_ml', 0, 60, 6)",
    )
    return config
