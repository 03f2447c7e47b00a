r"""What a client sends against the error of what it trains: transfer from brain age to SDMT by all
layers, by changes of low rank, and by the last layer.

Three synthetic hospitals: 340 healthy people, then 600 patients.

Commands:
    fedbrain grid low_rank_synthetic
    fedbrain tables runs/low_rank_synthetic

Time: 15 experiments; not measured alone.

Expect, SYNTHETIC (SDMT, test MAE in points; range over three seeds): all layers 6.35 (6.22-6.55),
changes of rank four 7.15 (6.92-7.52) or, with one factor frozen, 7.18 (6.91-7.58),
the head alone 7.25 (6.91-7.67), median predictor 8.48.
"""

from fedbrain.configs import grid, paper_synthetic, quickstart

ROWS = {
    "deep": "everything()",
    "low_rank_4": "low_rank(4)",
    "low_rank_up_4": "low_rank_up(4)",
    "shallow": "only_head()",
}
PATIENTS = {"amber": 60, "birch": 180, "cedar": 360}


def get_config():
    """The small network of the quickstart at 8 mm, federated, three seeds."""
    config = grid.get_config()
    config.first = quickstart.get_config()
    config.first.rounds = 20
    config.second = paper_synthetic.get_config().second
    config.second.rounds = 20
    patients = "synthetic({!r}, subjects={}, ms=True, label='sdmt')"
    config.second.sites = {name: patients.format(name, n) for name, n in PATIENTS.items()}
    for experiment in (config.first, config.second):
        experiment.prepare = "conform(voxel_size_mm=8.0, shape=(20, 24, 20), mask='nonzero')"
        experiment.regimes = ("federated",)
    config.rows = {name: {"trainable": trainable} for name, trainable in ROWS.items()}
    return config
