"""Applies trained models to new scans and writes a table of predictions.

    fedbrain predict WORKDIR[,WORKDIR,...] --bids=ROOT --output=FILE.tsv

The prediction is the mean over the models of all repeats and inner splits of a regime, weighted by
1 / validation loss; with several work directories (seeds), also over those.
`--test_views="averaged()"` averages over views of each scan as well. Scans without a label are
predicted too; the accuracy on scans with a label is printed.
"""

from absl import flags

from fedbrain import cli

if __name__ == "__main__":
    WORKDIR = cli.define_paths(
        "workdir",
        "Work directory of the trained experiment, or several with the same inputs.",
        required=True,
    )
    BIDS = cli.define_path("bids", None, "Root of the BIDS tree with the new scans.", required=True)
    OUTPUT = cli.define_path(
        "output", None, "Table to write: scan_id, prediction, target or n/a.", required=True
    )
    COLUMNS = flags.DEFINE_list(
        "columns", [], "Columns of covariates in this tree, where named otherwise: age=Age."
    )
    LABEL = flags.DEFINE_string("label", "age", "Label: a column, or table:column.")
    PATTERN = flags.DEFINE_string("pattern", "T1w", "Suffix, or entities and suffix, of images.")
    PIPELINE = flags.DEFINE_string("pipeline", "", "Reads images from derivatives/<pipeline>.")
    VIEWS = flags.DEFINE_string(
        "test_views", "", "Views to average over; by default those of the experiment."
    )
    FEDERATION = flags.DEFINE_string(
        "federation", "federated", "Which model: federated, centralised or local-<client>."
    )
    CLIENT = flags.DEFINE_string(
        "client", "", "Whose private leaves to use, where every client keeps some."
    )

    def _predict() -> None:
        from fedbrain.experiments.predict_tree import Tree, read_models, run

        models = read_models(WORKDIR.value, federation=FEDERATION.value, client=CLIENT.value)
        columns = dict(cli.name_and_value("columns", pair) for pair in COLUMNS.value)
        tree = Tree(BIDS.value, LABEL.value, PATTERN.value, PIPELINE.value, columns)
        run(models, tree, OUTPUT.value, views=VIEWS.value)

    cli.run_flags(_predict, interrupted="Nothing was written.", word="workdir")
