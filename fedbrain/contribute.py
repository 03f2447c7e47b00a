"""Prints what each client contributes to the accuracy of a study's models.

    python -m fedbrain.contribute --config=configs/hospitals.py [--method=FedAvg]

Trains every coalition of clients (up to 6 clients: exact Shapley values; more: GTG-Shapley on the
first seed) and prints leave-one-out and Shapley values of the accuracy on all clients' test
examples, with intervals over seeds.
"""

from absl import flags
from ml_collections import config_flags

from fedbrain import cli
from fedbrain.experiments.contributions import run

if __name__ == "__main__":
    CONFIG = config_flags.DEFINE_config_file(
        "config", None, "Configuration file of the study.", lock_config=True
    )
    METHOD = flags.DEFINE_string(
        "method", "FedAvg", "Name of a method of the study, without personal models."
    )
    flags.mark_flag_as_required("config")
    cli.run_flags(lambda: run(CONFIG.value, METHOD.value), interrupted="Nothing is kept.")
