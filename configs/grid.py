"""The fields of a grid: a first experiment, and rows of second ones that start from it."""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def get_config() -> Any:
    """The fields."""
    config: Any = ConfigDict()
    config.seeds = 3  # of weights, order and test subjects; below three nothing is claimed

    config.first = base.get_config()
    config.second = base.get_config()
    # {first}: the folder of the first experiment with the same seed
    config.second.initial = "run('{first}', head=False)"

    # Row -> nested dictionary of the fields of the second experiment that it sets.
    config.rows = ConfigDict(
        {
            "deep": {},
            "shallow": {"trainable": "only_head()"},
            "scratch": {"initial": "random()"},
        }
    )

    # Printed beside ours: row -> regime -> site -> {"mae": ..., "r": ...}. Site "all" is the mean
    # weighted by all images.
    config.published = ConfigDict()
    config.source = ""  # of the published numbers
    return config
