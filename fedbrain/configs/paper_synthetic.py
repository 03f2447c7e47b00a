"""The two published tables on three synthetic hospitals of the published sizes.

1,730 healthy people and 3,276 patients. By construction the score depends on lesions, disease
duration, age, education and the brain's reserve (its age gap); the image shows lesions and reserve.

Commands:
    fedbrain grid paper_synthetic
    fedbrain tables runs/paper_synthetic

Time: an hour on one core; started twice, half an hour.

Expect, SYNTHETIC (test MAE by all images; range over three seeds): brain age federated 8.41 years
(8.38-8.46), centralised 7.55 (7.51-7.57); SDMT from brain age, federated, all layers 5.51 points
(5.17-5.71), the head alone 7.33 (7.09-7.46), from scratch 5.74 (5.61-5.91). docs/transfer.md has
both tables.
"""

from fedbrain.configs import grid, paper, quickstart

HEALTHY = {"brussels": ("amber", 586), "greifswald": ("birch", 491), "prague": ("cedar", 653)}
PATIENTS = {"brussels": ("amber", 96), "greifswald": ("birch", 756), "prague": ("cedar", 2424)}


def get_config():
    """A small network at 6 mm."""
    config = grid.get_config()
    config.first = quickstart.get_config()
    healthy = "synthetic({!r}, subjects={})"
    config.first.sites = {name: healthy.format(*site) for name, site in HEALTHY.items()}
    config.first.rounds = 20
    config.second = quickstart.get_config()
    config.second.update(
        {
            "unit": "points",
            "initial": "run('{first}', head=False)",
            "loss": "l1(centre=51.0, scale=10.0)",
            "baselines": ("linear('age', 'sex')", "linear('age', model='{first}')"),
            "describe": (
                "histogram('target', 0, 110, 11)",
                "histogram('age', 10, 100, 9)",
                "classes('sex', 0, 1)",
            ),
            "rounds": 6,
        }
    )
    patients = "synthetic({!r}, subjects={}, ms=True, label='sdmt')"
    config.second.sites = {name: patients.format(*site) for name, site in PATIENTS.items()}
    config.rows.update({"scratch_shallow": {"initial": "random()", "trainable": "only_head()"}})
    config.published = paper.get_config().published
    config.source = paper.get_config().source
    return config
