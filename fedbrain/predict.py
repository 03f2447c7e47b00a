"""Applies trained models to new scans and writes a table of predictions.

    fedbrain predict WORKDIR[,WORKDIR,...] --bids=ROOT --output=FILE.tsv
    fedbrain predict WORKDIR --image=FILE.nii.gz[,FILE,...] [--covariates=age=63,sex=F]
    fedbrain predict --model=brain_age_ixi --bids=ROOT --output=FILE.tsv

The prediction is the mean over the models of all repeats and inner splits of a regime, weighted by
1 / validation loss; with several work directories (seeds), also over those.
`--test_views="averaged()"` averages over views of each scan as well. Scans without a label are
predicted too; the accuracy on scans with a label is printed. People who trained the model are
looked for among the scans, by image and by participant id.

--model takes a model that comes with fedbrain, by name, or a file of `fedbrain export --all`. It
says its error and for whom it holds. Scans that it has are brains of `fedbrain prepare`.
"""

from typing import Any

from absl import flags

from fedbrain import cli
from fedbrain.experiments.catalogue import UsageError

if __name__ == "__main__":
    WORKDIR = cli.define_paths(
        "workdir", "Work directory of the trained experiment, or several with the same inputs."
    )
    MODEL = flags.DEFINE_string(
        "model", "", "In place of a work directory: a model that comes with fedbrain, or a file."
    )
    BIDS = cli.define_path("bids", None, "Root of the BIDS tree with the new scans.")
    IMAGE = cli.define_paths("image", "A NIfTI file, or several, in place of a BIDS tree.")
    OUTPUT = cli.define_path("output", None, "Table to write: scan, prediction, target or n/a.")
    FEATURES = cli.define_path(
        "features", None, "Table to write for fedbrain harmonise: what enters the last layer."
    )
    COVARIATES = flags.DEFINE_list(
        "covariates", [], "Of the person in --image, where the model needs some: age=63,sex=F."
    )
    COLUMNS = flags.DEFINE_list(
        "columns", [], "Columns of covariates in this tree, where named otherwise: age=Age."
    )
    LABEL = flags.DEFINE_string("label", "age", "Label: a column, or table:column.")
    PATTERN = flags.DEFINE_string("pattern", "T1w", "Suffix, or entities and suffix, of images.")
    PIPELINE = flags.DEFINE_string(
        "pipeline",
        None,
        "Reads images from derivatives/<pipeline>; by default the raw tree, and fedbrain with a"
        " model of --model that was made so.",
    )
    VIEWS = flags.DEFINE_string(
        "test_views", "", "Views to average over; by default those of the experiment."
    )
    FEDERATION = flags.DEFINE_string(
        "federation",
        "federated",
        "Which model: federated, centralised, local-<client> or without-<client>.",
    )
    CLIENT = flags.DEFINE_string(
        "client", "", "Whose private leaves to use, where every client keeps some."
    )

    def _read() -> tuple[Any, str]:
        """(the models, pipeline whose images are read)."""
        if MODEL.value:
            from fedbrain.experiments import shipped
            from fedbrain.experiments.release import read_release

            path, row = shipped.locate_model(MODEL.value)
            pipeline = row.pipeline if row and PIPELINE.value is None else PIPELINE.value or ""
            if row and IMAGE.value:
                shipped.require_brains(map(shipped.record_of, IMAGE.value), row)
            elif row:
                shipped.require_prepared(BIDS.value, pipeline, row)
            return read_release(path), pipeline
        from fedbrain.experiments.trained_models import of_workdirs

        federation, client = FEDERATION.value, CLIENT.value
        trained = of_workdirs(WORKDIR.value, federation=federation, client=client)
        return trained, PIPELINE.value or ""

    def _predict() -> None:
        if bool(WORKDIR.value) == bool(MODEL.value):
            raise UsageError("expected --workdir or --model, and not both.")
        if MODEL.value and (FEDERATION.present or CLIENT.present):
            raise UsageError("--federation, --client: are of work directories, and not of --model.")
        columns = dict(cli.name_and_value("columns", text) for text in COLUMNS.value)
        covariates = dict(cli.name_and_value("covariates", text) for text in COVARIATES.value)
        if bool(IMAGE.value) == bool(BIDS.value) or (BIDS.value and not OUTPUT.value):
            raise UsageError("expected --bids and --output, or --image, and not both.")
        if FEATURES.value and IMAGE.value:
            raise UsageError("--features is for --bids: a table needs several people.")
        if covariates and BIDS.value:
            raise UsageError("--covariates is for --image; a tree has them in its tables.")
        trained, pipeline = _read()
        if IMAGE.value:
            from fedbrain.experiments import predict_images

            predict_images.run(
                trained, IMAGE.value, OUTPUT.value, covariates=covariates, views=VIEWS.value
            )
        else:
            from fedbrain.experiments import predict_tree

            tree = predict_tree.Tree(BIDS.value, LABEL.value, PATTERN.value, pipeline, columns)
            predict_tree.run(
                trained, tree, OUTPUT.value, views=VIEWS.value, features=FEATURES.value
            )

    cli.run_flags(_predict, interrupted="Nothing was written.", word="workdir")
