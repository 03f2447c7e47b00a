"""How many people a paired comparison of two methods needs, from the spread in an experiment.

    fedbrain sample-size WORKDIR --first=federated --second=local --difference=0.5,1

Reads the predictions of a finished experiment for its test people. Nothing is trained or written.
"""

from absl import flags

from fedbrain import cli
from fedbrain.experiments.catalogue import UsageError

if __name__ == "__main__":
    WORKDIR = cli.define_path("workdir", None, "Of a finished experiment.", required=True)
    FIRST = flags.DEFINE_string("first", "federated", "A regime, or a linear regression's title.")
    SECOND = flags.DEFINE_string("second", "centralised", "What it is compared with.")
    DIFFERENCE = flags.DEFINE_list(
        "difference", ["0.5", "1", "2"], "Differences of mean errors to be found, in target units."
    )
    POWER = flags.DEFINE_float("power", 0.8, "Chance to find such a difference.")

    def _print() -> None:
        from fedbrain.experiments import sample_size

        try:
            differences = [float(text) for text in DIFFERENCE.value]
        except ValueError:
            raise UsageError(
                f"--difference: expected numbers with commas between them, got {DIFFERENCE.value}"
            ) from None
        sample_size.run(WORKDIR.value, FIRST.value, SECOND.value, differences, POWER.value)

    cli.run_flags(_print, interrupted="Nothing was lost.", word="workdir")
