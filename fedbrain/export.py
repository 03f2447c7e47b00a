"""Writes a trained model to a .safetensors file, for other programs.

    fedbrain export WORKDIR --output=FILE.safetensors [--torch]

With --torch, names and layouts are those of MONAI's DenseNet121, which then loads the file without
fedbrain:

    from safetensors.torch import load_file
    model.load_state_dict(load_file("FILE.safetensors"), strict=True)

The file says what is needed to use the model: voxel size, shape, normalisation, unit, and how a
prediction is made from the output. `safetensors.safe_open(FILE, "np").metadata()` reads it, and
`--config.initial="file('FILE.safetensors')"` starts from it.
"""

from absl import flags

from fedbrain import cli

if __name__ == "__main__":
    WORKDIR = cli.define_path(
        "workdir", None, "Work directory of the trained experiment.", required=True
    )
    OUTPUT = cli.define_path("output", None, "File to write, FILE.safetensors.", required=True)
    TORCH = flags.DEFINE_bool("torch", False, "Names and layouts of MONAI's DenseNet121.")
    FEDERATION = flags.DEFINE_string(
        "federation",
        "federated",
        "Which model: federated, centralised, local-<client> or without-<client>.",
    )
    CLIENT = flags.DEFINE_string(
        "client", "", "Whose private leaves to use, where every client keeps some."
    )
    SPLIT = flags.DEFINE_string("split", "repeat0-split0", "Which split's model.")

    def _export() -> None:
        from fedbrain.experiments.saved_models import export_model

        export_model(
            WORKDIR.value,
            str(OUTPUT.value),
            federation=FEDERATION.value,
            client=CLIENT.value,
            split=SPLIT.value,
            torch=TORCH.value,
        )

    cli.run_flags(_export, interrupted="The same command writes it again.", word="workdir")
