"""What every grid has: a first experiment, a second one that starts from it, and the rows in which
the second one varies.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import base


def get_config() -> Any:
    """The fields, in the order of the story."""
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

    # Printed beside ours: row -> regime -> site (or "all": the mean weighted by all images) ->
    # {"mae": ..., "r": ...}.
    config.published = ConfigDict()
    config.source = ""  # of the published numbers
    return config
