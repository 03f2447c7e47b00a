"""What each client is worth: python -m fedbrain.contribute --config=configs/hospitals.py
[--method=FedAvg].

Trains every coalition of the clients of a study (up to 6 clients: exact Shapley values; more:
GTG-Shapley on the first seed) and prints leave-one-out and Shapley values of the accuracy on all
clients' test examples, with intervals over seeds.
"""

from functools import partial

from absl import app, flags
from ml_collections import config_flags

from fedbrain import cli
from fedbrain.experiments.contributions import run

CONFIG = config_flags.DEFINE_config_file("config", None, "The study.", lock_config=True)


METHOD = flags.DEFINE_string(
    "method", "FedAvg", "Name of a method of the study, without personal models."
)


def main(argv: list[str]) -> None:
    """Reads the flags, and says what went wrong in one sentence."""
    cli.configure()
    story = partial(run, CONFIG.value, METHOD.value)
    cli.in_one_sentence(argv, story, interrupted="Nothing is kept.")


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
