"""The paper's two tables on three synthetic hospitals of the paper's sizes: 1,730 healthy people,
3,276 patients.

Commands: python -m fedbrain.grid --config=configs/paper_synthetic.py
          python -m fedbrain.tables --workdir=runs/paper_synthetic

By construction the score depends on lesions, disease duration, age, education and the brain's
reserve (its age gap); the image shows lesions and reserve.
"""

from configs import grid, paper, quickstart

HEALTHY = {"brussels": ("amber", 586), "greifswald": ("birch", 491), "prague": ("cedar", 653)}
PATIENTS = {"brussels": ("amber", 96), "greifswald": ("birch", 756), "prague": ("cedar", 2424)}


def get_config():
    """A small network at 6 mm."""
    config = grid.get_config()
    config.first = quickstart.get_config()
    config.first.sites = {
        name: f"synthetic({h!r}, subjects={n})" for name, (h, n) in HEALTHY.items()
    }
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
    config.second.sites = {name: patients.format(*which) for name, which in PATIENTS.items()}
    config.rows.update({"scratch_shallow": {"initial": "random()", "trainable": "only_head()"}})
    config.published = paper.get_config().published
    config.source = paper.get_config().source
    return config
