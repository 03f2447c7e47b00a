"""Prints what each client contributes to the accuracy of a study's models.

    fedbrain contribute hospitals [--method=FedAvg] [--config.FIELD=VALUE]

Trains every coalition of clients (up to 6 clients: exact Shapley values; more: GTG-Shapley on the
first seed) and prints leave-one-out and Shapley values of the accuracy on all clients' test
examples, with intervals over seeds.
"""

from absl import flags

from fedbrain import cli

if __name__ == "__main__":
    CONFIG = cli.define_config("study")
    METHOD = flags.DEFINE_string(
        "method", "FedAvg", "Name of a method of the study, without personal models."
    )

    def _run() -> None:
        from fedbrain.experiments.contributions import run

        run(CONFIG.value, METHOD.value)

    cli.run_flags(_run, interrupted="Nothing is kept.", config=CONFIG)
