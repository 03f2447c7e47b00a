"""Writes a trained model to a .safetensors file, for other programs.

    python -m fedbrain.export --workdir=DIR --output=FILE.safetensors [--torch]

With --torch, names and layouts are those of MONAI's DenseNet121, which then loads the file without
fedbrain:

    from safetensors.torch import load_file
    model.load_state_dict(load_file("FILE.safetensors"), strict=True)
"""

from pathlib import Path

from absl import flags

from fedbrain import cli
from fedbrain.experiments.saved_models import export_model

if __name__ == "__main__":
    WORKDIR = flags.DEFINE_string(
        "workdir", None, "Work directory of the trained experiment.", required=True
    )
    OUTPUT = flags.DEFINE_string("output", None, "File to write.", required=True)
    TORCH = flags.DEFINE_bool("torch", False, "Names and layouts of MONAI's DenseNet121.")
    FEDERATION = flags.DEFINE_string(
        "federation", "federated", "Which model: federated, centralised or local-<client>."
    )
    CLIENT = flags.DEFINE_string(
        "client", "", "Whose private leaves to use, where every client keeps some."
    )
    SPLIT = flags.DEFINE_string("split", "repeat0-split0", "Which split's model.")

    cli.run_flags(
        lambda: export_model(
            Path(WORKDIR.value),
            OUTPUT.value,
            federation=FEDERATION.value,
            client=CLIENT.value,
            split=SPLIT.value,
            torch=TORCH.value,
        ),
        interrupted="The same command writes it again.",
    )
