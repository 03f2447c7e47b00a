"""Prepares raw scans as a BIDS derivative: without bias field and skull, in MNI space.

    fedbrain prepare ROOT [--output=FOLDER] [--brain=robex] [--modalities=FLAIR,T2w]

Needs the extra `prepare`. Writes images, their records, and for the person who decides quality.html
and quality.tsv. The same command goes on where it was interrupted, and makes anew what a changed
scan or setting concerns. Train with `pipeline='fedbrain'` and --config.prepare="registered()".
"""

from pathlib import Path

from absl import flags

from fedbrain import cli

if __name__ == "__main__":
    BIDS = cli.define_path("bids", None, "Root of the BIDS tree with the raw scans.", required=True)
    OUTPUT = cli.define_path(
        "output", None, "Folder of the derivative; by default ROOT/derivatives/fedbrain."
    )
    BRAIN = flags.DEFINE_string(
        "brain",
        "robex",
        "What finds the brain: robex, template, nonzero (images without skull), or PIPELINE/SUFFIX"
        " of a mask in derivatives, such as hdbet/desc-brain_mask.",
    )
    MODALITIES = flags.DEFINE_list(
        "modalities", [], "Suffixes of images that follow the T1w of their session: FLAIR,T2w."
    )
    PATTERN = flags.DEFINE_string("pattern", "T1w", "Suffix, or entities and suffix, of the T1w.")
    INCLUDE = flags.DEFINE_list("include", [], "Subjects and sessions to prepare; by default all.")
    VOXEL = flags.DEFINE_float("voxel_size_mm", 1.4, "Edge of the cubic voxels.")
    SHAPE = flags.DEFINE_list("shape", ["130", "130", "130"], "Voxels of the grid on three axes.")
    JOBS = flags.DEFINE_integer(
        "jobs", None, "Scans at the same time; by default one for each core.", lower_bound=1
    )

    def _prepare() -> None:
        from fedbrain.experiments.writing import require_writable, writing
        from fedbrain.preprocessing.command import run
        from fedbrain.preprocessing.recipe import make_recipe

        recipe = make_recipe(
            BRAIN.value, VOXEL.value, shape=SHAPE.value, modalities=MODALITIES.value
        )
        output = OUTPUT.value or Path(BIDS.value, "derivatives", "fedbrain")
        require_writable(output, flag="output")
        pattern, include = PATTERN.value, INCLUDE.value
        with writing(output, flag="output"):
            run(BIDS.value, output, recipe, pattern=pattern, include=include, jobs=JOBS.value)

    cli.run_flags(
        _prepare, interrupted="What was written is kept: the same command goes on.", word="bids"
    )
