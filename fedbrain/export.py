"""Writes a trained model to a .safetensors file, for other programs.

    fedbrain export WORKDIR --output=FILE.safetensors [--torch]

With --torch, names and layouts are those of MONAI's DenseNet121, which then loads the file without
fedbrain:

    from safetensors.torch import load_file
    model.load_state_dict(load_file("FILE.safetensors"), strict=True)

The file says what is needed to use the model: voxel size, shape, normalisation, unit, and how a
prediction is made from the output. `safetensors.safe_open(FILE, "np").metadata()` reads it, and
`--config.initial="file('FILE.safetensors')"` starts from it.

    fedbrain export WORKDIR --all --output=FILE.safetensors [--note=TEXT]

With --all, the file holds the models of all splits in float16, and all that is needed for
`fedbrain predict --model=FILE.safetensors` elsewhere: the error on test people, intervals made of
their errors, and --note. It names no person, site or folder, unless --people is given.
"""

from absl import flags

from fedbrain import cli
from fedbrain.experiments.catalogue import UsageError

if __name__ == "__main__":
    WORKDIR = cli.define_path(
        "workdir", None, "Work directory of the trained experiment.", required=True
    )
    OUTPUT = cli.define_path("output", None, "File to write, FILE.safetensors.", required=True)
    TORCH = flags.DEFINE_bool("torch", False, "Names and layouts of MONAI's DenseNet121.")
    ALL = flags.DEFINE_bool("all", False, "The models of all splits, for fedbrain predict --model.")
    NOTE = flags.DEFINE_string(
        "note",
        "",
        "With --all: for whom the models hold, and their licence; printed with predictions.",
    )
    PEOPLE = flags.DEFINE_bool(
        "people",
        False,
        "With --all: ids and image digests of the people who trained the models, so that they"
        " are recognised. For public data alone.",
    )
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
        if ALL.value and (TORCH.value or SPLIT.present):
            raise UsageError("--torch, --split: are of one model, and not of --all.")
        if (NOTE.value or PEOPLE.value) and not ALL.value:
            raise UsageError("--note, --people: need --all.")
        whose = {"federation": FEDERATION.value, "client": CLIENT.value}
        if ALL.value:
            from fedbrain.experiments.release import About, write_release

            write_release(
                WORKDIR.value, str(OUTPUT.value), About(NOTE.value, PEOPLE.value), **whose
            )
            return
        from fedbrain.experiments.saved_models import export_model

        export_model(
            WORKDIR.value,
            str(OUTPUT.value),
            split=SPLIT.value,
            torch=TORCH.value,
            **whose,
        )

    cli.run_flags(_export, interrupted="The same command writes it again.", word="workdir")
