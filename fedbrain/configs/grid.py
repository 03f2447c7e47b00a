"""The fields of a grid: a first experiment, and rows of second ones that start from it.

The comment at a field is its meaning: `fedbrain grid -h` shows it.
"""

from typing import Any

from ml_collections import ConfigDict

from fedbrain.configs import base


def get_config() -> Any:
    """The fields."""
    config: Any = ConfigDict()
    # number of seeds: of weights, order and test subjects; below three nothing is claimed
    config.seeds = 3

    # the first experiment: `--config.first.rounds=20`; its fields: `fedbrain train -h`
    config.first = base.get_config()
    # what the second experiments have in common, likewise; `{first}` in a field is the folder of
    # the first experiment with the same seed
    config.second = base.get_config()
    config.second.initial = "run('{first}', head=False)"

    # row -> the fields of the second experiment that it sets, as nested dictionaries
    config.rows = ConfigDict(
        {
            "deep": {},
            "shallow": {"trainable": "only_head()"},
            "scratch": {"initial": "random()"},
        }
    )

    # numbers that are printed beside ours: row -> regime -> site -> {"mae": ..., "r": ...}; site
    # "all" is the mean weighted by all images
    config.published = ConfigDict()
    # where the published numbers are from
    config.source = ""
    return config
