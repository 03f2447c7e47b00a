"""Takes the effects of sites out of tables of features: ComBat from sums; tells what sites betray.

    fedbrain harmonise HH.tsv,GUYS.tsv --covariates=age,sex --output=FOLDER

Each table is a site: `participant_id`, the covariates, and features (region volumes, for instance).
Fitted on training people, applied to all. docs/harmonisation.md has what leaves a site.
"""

from absl import flags

from fedbrain import cli

if __name__ == "__main__":
    TABLES = cli.define_paths(
        "tables", "TSV files, one a site, with commas between.", required=True
    )
    OUTPUT = cli.define_path("output", None, "Folder for the corrected tables.", required=True)
    COVARIATES = flags.DEFINE_list("covariates", [], "Columns whose effect is kept: age,sex.")
    FEATURES = flags.DEFINE_list(
        "features", [], "Columns to correct; by default all but participant_id and covariates."
    )
    ADJUST = flags.DEFINE_enum(
        "adjust",
        "shift_and_spread",
        ["shift_and_spread", "shift"],
        "With shift, no covariate of a person enters the person's features: for tables from which"
        " a covariate, age for instance, is to be predicted.",
    )
    TEST = flags.DEFINE_float("test", 0.2, "Share of people that nothing is fitted on.")
    SEED = flags.DEFINE_integer("seed", 0, "Of the choice of these people, as config.splits.seed.")

    def _harmonise() -> None:
        from fedbrain.experiments.harmonise import Choice, run
        from fedbrain.experiments.writing import require_writable, writing

        choice = Choice(
            tuple(COVARIATES.value),
            tuple(FEATURES.value),
            ADJUST.value == "shift_and_spread",
            TEST.value,
            SEED.value,
        )
        require_writable(OUTPUT.value, flag="output")
        with writing(OUTPUT.value, flag="output"):
            run(TABLES.value, OUTPUT.value, choice)

    cli.run_flags(_harmonise, interrupted="The same command writes all of it.", word="tables")
