r"""What a client sends against the error of what it trains: transfer from brain age to SDMT by all
layers, by changes of low rank, and by the last layer.

Three synthetic hospitals: 340 healthy people, then 301 patients of the sizes of the authors' first
study.

Commands:
    fedbrain grid low_rank_synthetic
    fedbrain tables runs/low_rank_synthetic

Time: 18 experiments of seconds to a minute; not measured alone.

Expect, SYNTHETIC: no number; the whole was not run.
"""

from fedbrain.configs import grid, preprint_synthetic, quickstart

ROWS = {
    "deep": "everything()",
    "low_rank_1": "low_rank(1)",
    "low_rank_4": "low_rank(4)",
    "low_rank_up_4": "low_rank_up(4)",
    "shallow": "only_head()",
}


def get_config():
    """The small network of the quickstart, federated, three seeds."""
    config = grid.get_config()
    config.first = quickstart.get_config()
    config.first.rounds = 20
    config.second = preprint_synthetic.get_config().second
    config.second.rounds = 15
    for experiment in (config.first, config.second):
        experiment.regimes = ("federated",)
    config.rows = {name: {"trainable": trainable} for name, trainable in ROWS.items()}
    return config
