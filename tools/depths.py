"""Prints how many numbers each grade of freezing trains and sends, as a table in Markdown.

    python -m tools.depths [--model="densenet121(norm='batch')"]

A table in Markdown, counted from shapes; nothing is computed.
"""

from absl import app, flags

from fedbrain.configs import base
from fedbrain.data.pipeline import example_batch
from fedbrain.experiments.compiled import outline_variables
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.spec import choose
from fedbrain.models import MODELS
from fedbrain.training.footprint import footprint

MODEL = flags.DEFINE_string("model", base.get_config().model, "The network.")
SHAPE = (32, 32, 32, 1)  # numbers of parameters do not depend on it


def main(argv: list[str]) -> None:
    """One line a grade, from the head to all layers."""
    del argv
    config = base.get_config()
    config.model = MODEL.value
    network = choose("model", MODEL.value, MODELS, outputs=1)
    stages = [stage for stage in network.stages if stage.startswith(("transition", "conv"))]
    print(
        "| `config.trainable` | numbers trained | of | bytes a client sends a round |\n| --- | ---"
        " | --- | --- |"
    )
    for spec in ("only_head()", *(f"after({stage!r})" for stage in stages[::-1]), "everything()"):
        config.trainable = spec
        experiment = read_experiment(config)
        outline = outline_variables(experiment, SHAPE)
        found = footprint(experiment.algorithm, outline, example_batch(SHAPE, 8, experiment.inputs))
        print(f"| `{spec}` | {found.trained:,} | {found.parameters:,} | {found.sent_bytes:,} |")


if __name__ == "__main__":
    app.run(main)
