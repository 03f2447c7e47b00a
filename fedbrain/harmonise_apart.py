"""ComBat between hospitals, by files that a person can read and send.

fedbrain harmonise-apart sums --table=GUYS.tsv --covariates=age,sex --output=FILE.json
    A site tells how many training people it has, and sums over them.
fedbrain harmonise-apart combine --files=A.json,B.json --output=FILE.json
    The centre makes the regression of all sites, which goes to them; with --given=REGRESSION.json
    and the files of the second step, the effects of sites.
fedbrain harmonise-apart squares --table=GUYS.tsv --given=REGRESSION.json --output=FILE.json
    A site tells the sums of squared residuals.
fedbrain harmonise-apart apply --table=GUYS.tsv --given=COMBAT.json --output=FOLDER
    A site corrects its table.

docs/harmonisation.md has the whole way, and what leaves a site. The result is that of `fedbrain
harmonise` on the tables of all sites.
"""

from absl import flags

from fedbrain.cli import define_path, define_paths, given, run_command

if __name__ == "__main__":
    TABLE = define_path("table", None, "TSV file of the site, called like it.")
    FILES = define_paths("files", "Files of the sites, with commas between.")
    GIVEN = define_path("given", None, "What the centre sent.")
    OUTPUT = define_path("output", None, "File, or folder of a table, to write.", required=True)
    COVARIATES = flags.DEFINE_list("covariates", [], "Columns whose effect is kept: age,sex.")
    FEATURES = flags.DEFINE_list(
        "features", [], "Columns to correct; by default all but participant_id and covariates."
    )
    ADJUST = flags.DEFINE_enum(
        "adjust",
        "shift_and_spread",
        ["shift_and_spread", "shift"],
        "Of combine: see fedbrain harmonise.",
    )
    TEST = flags.DEFINE_float("test", 0.2, "Share of people that nothing is fitted on.")
    SEED = flags.DEFINE_integer("seed", 0, "Of the choice of these people.")

    def _sums() -> None:
        from fedbrain.experiments.harmonise import Choice
        from fedbrain.experiments.harmonise_apart import tell_sums

        covariates, features = tuple(COVARIATES.value), tuple(FEATURES.value)
        choice = Choice(covariates, features, True, TEST.value, SEED.value)
        tell_sums(given(TABLE), OUTPUT.value, choice)

    def _squares() -> None:
        from fedbrain.experiments.harmonise_apart import tell_squares

        tell_squares(given(TABLE), given(GIVEN), OUTPUT.value)

    def _combine() -> None:
        from fedbrain.experiments.harmonise_apart import combine

        spread = ADJUST.value == "shift_and_spread"
        combine(given(FILES), GIVEN.value, OUTPUT.value, spread=spread)

    def _apply() -> None:
        from fedbrain.experiments.harmonise_apart import apply

        apply(given(TABLE), given(GIVEN), OUTPUT.value)

    run_command({"sums": _sums, "combine": _combine, "squares": _squares, "apply": _apply})
