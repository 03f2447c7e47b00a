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


def run(
    workdir: Path, output: str, *, torch: bool, federation: str, client: str, split: str
) -> None:
    """The story of an export; the arguments are the flags below."""
    [(_, variables)] = load_models(workdir, federation=federation, client=client, split=split)
    save(variables, output, torch=torch)
    print(f"{output}: {federation}, {split}.")


if __name__ == "__main__":
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

    def _export() -> None:
        run(
            Path(WORKDIR.value),
            OUTPUT.value,
            torch=TORCH.value,
            federation=FEDERATION.value,
            client=CLIENT.value,
            split=SPLIT.value,
        )

    def main(argv: list[str]) -> None:
        """Reads the flags, and says what went wrong in one sentence."""
        cli.configure()
        cli.in_one_sentence(argv, _export, interrupted="The same command writes it again.")

    app.run(main)
