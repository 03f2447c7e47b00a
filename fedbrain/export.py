"""Writes a trained model for other programs: python -m fedbrain.export --workdir=DIR
--output=FILE.safetensors [--torch].

With --torch names and layouts are those of MONAI's DenseNet121, so that a partner loads it without
fedbrain:

    from safetensors.torch import load_file
    model.load_state_dict(load_file("FILE.safetensors"), strict=True)
"""

from pathlib import Path

from absl import app, flags

from fedbrain import cli
from fedbrain.experiments.saved_models import load_models
from fedbrain.models.files.weights import save

WORKDIR = flags.DEFINE_string("workdir", None, "Of the trained experiment.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "The file to write.", required=True)
TORCH = flags.DEFINE_bool("torch", False, "Names and layouts of MONAI's DenseNet121.")
FEDERATION = flags.DEFINE_string(
    "federation", "federated", "Which model: federated, centralised, local-<client>."
)
CLIENT = flags.DEFINE_string(
    "client", "", "Whose private leaves to use, for a federation that keeps some."
)
SPLIT = flags.DEFINE_string("split", "repeat0-split0", "Of which split.")


def run() -> None:
    """The story of an export."""
    [(_, variables)] = load_models(
        Path(WORKDIR.value), federation=FEDERATION.value, client=CLIENT.value, split=SPLIT.value
    )  # fmt: skip
    save(variables, OUTPUT.value, torch=TORCH.value)
    print(f"{OUTPUT.value}: {FEDERATION.value}, {SPLIT.value}.")


def main(argv: list[str]) -> None:
    """Reads the flags, and says what went wrong in one sentence."""
    cli.configure()
    cli.in_one_sentence(argv, run, interrupted="The same command writes it again.")


if __name__ == "__main__":
    app.run(main)
