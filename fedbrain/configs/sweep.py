"""The fields of a sweep: methods compared on experiments, each tuned on validation people.

The comment at a field is its meaning: `fedbrain sweep -h` shows it.
"""

from typing import Any

from ml_collections import ConfigDict

from fedbrain.configs import base


def get_config() -> Any:
    """The fields."""
    config: Any = ConfigDict()
    # seed of the draw of settings, where there are more of them than trials
    config.seed = 0
    # what all methods have in common: `--config.experiment.rounds=20`; its fields: `fedbrain train
    # -h`. It has one regime, and so has every method
    config.experiment = base.get_config()
    config.experiment.regimes = ("federated",)

    # name -> the fields of the experiment that a method sets, as nested dictionaries
    config.methods = ConfigDict({"FedAvg": {}}, allow_dotted_keys=True)

    # Tuning: for every method and every repeat of the splits, on validation people.

    config.tune = ConfigDict(
        {
            # settings tried of every method; 0: nothing is tuned
            "trials": 0,
            # fields tuned of every method: a nested dictionary whose ends are tuples of values
            "fields": ConfigDict(),
            # method -> such a dictionary beside it, or several in a tuple: a grid each
            "methods": ConfigDict(allow_dotted_keys=True),
        }
    )

    # methods from which every other one is subtracted, person by person
    config.against = ()
    return config
