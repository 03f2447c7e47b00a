"""Places in the code for docs/architecture.md: where to look, and the ways of a scan and an update.

Tests check that every place exists, and that real runs pass the hops in this order.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Hop(NamedTuple):
    """A function, and what happens there."""

    place: str  # file:function, or file:Class.method
    what: str


WHERE: Sequence[tuple[str, Hop]] = (
    ("Where is an aggregation rule added?",
     Hop("fedbrain/aggregators/__init__.py:RULES", "one row a rule; CONTRIBUTING.md shows one")),
    ("Where is a scan read?",
     Hop("fedbrain/data/nifti.py:read_volume", "one NIfTI file; data/bids.py lists the files")),
    ("Where does a round happen?",
     Hop("fedbrain/training/round.py:make_round", "cohort in, new server state out")),
    ("Where are effects of scanners taken out?",
     Hop("fedbrain/data/combat.py:fit", "ComBat, from what sites tell; docs/harmonisation.md")),
    ("What leaves a hospital?",
     Hop("fedbrain/deploy/protocol/answers.py:write_update", "the update; docs/what_leaves.md has"
         " every field")),
    ("Where is a table printed?",
     Hop("fedbrain/experiments/experiment.py:run", "its last lines print the text that"
         " `render_table` in analysis/results_table.py makes")),
    ("Where is a configuration read?",
     Hop("fedbrain/experiments/config.py:read_experiment", "every field, once")),
    ("Where is an algorithm added?",
     Hop("fedbrain/algorithms/__init__.py:VARIANTS", "one row an algorithm")),
    ("Where is a network added?", Hop("fedbrain/models/__init__.py:MODELS", "one row a network")),
    ("Where is a data source added?", Hop("fedbrain/data/sites.py:SITES", "one row a source")),
    ("Where does a site refuse a job?",
     Hop("fedbrain/deploy/site_side/policy.py:consent", "by what its site.toml allows")),
    ("Where does the server refuse an answer?",
     Hop("fedbrain/deploy/protocol/gate.py:admit", "the only way in")),
)  # fmt: skip

SCAN: Sequence[Hop] = (
    Hop("fedbrain/experiments/experiment.py:run", "reads the configuration"),
    Hop("fedbrain/experiments/clients.py:load_clients", "asks every site for its scans"),
    Hop("fedbrain/data/sites.py:bids.load", "one site: a BIDS tree"),
    Hop("fedbrain/data/labelled.py:labelled_scans", "keeps or leaves out each scan, with a reason"),
    Hop("fedbrain/data/bids.py:list_images", "lists the image files"),
    Hop("fedbrain/data/choice.py:one_per_session", "chooses one image of each session"),
    Hop("fedbrain/data/labels.py:make_lookup", "finds the labels in the tables"),
    Hop("fedbrain/data/prepare.py:prepare_scan", "prepares a scan that the cache does not have"),
    Hop("fedbrain/data/nifti.py:read_volume", "reads the NIfTI file, in RAS order"),
    Hop("fedbrain/data/conform.py:conform", "field of view, voxel size, z-score"),
    Hop("fedbrain/data/prepared_file.py:save_prepared", "writes the prepared volume to the cache"),
    Hop("fedbrain/experiments/experiment.py:train_and_report", "trains every regime"),
    Hop("fedbrain/data/splits.py:split_scans", "train, validation or test, by subject"),
    Hop("fedbrain/data/pipeline.py:train_batches", "a training scan: shuffled, augmented, batched"),
    Hop("fedbrain/training/local_steps.py:stream", "trains on the batches"),
    Hop("fedbrain/experiments/predict_scans.py:predict_scans", "a test scan, by the best model"),
    Hop("fedbrain/data/pipeline.py:eval_batches", "in order, unchanged"),
    Hop("fedbrain/experiments/predictions.py:to_predictions", "prediction, target, subject, site"),
    Hop("fedbrain/analysis/results.py:summarise", "all regimes and their differences"),
    Hop("fedbrain/analysis/statistics.py:accuracy", "MAE, its interval, r"),
    Hop("fedbrain/experiments/workdir.py:write_json", "writes results.json"),
    Hop("fedbrain/analysis/results_table.py:render_table", "the table that is printed"),
)

UPDATE: Sequence[Hop] = (
    Hop("fedbrain/deploy/nvflare/site.py:Hospital.execute", "the hospital gets the order to train"),
    Hop("fedbrain/deploy/site_side/worker.py:Worker.receive", "reads the message"),
    Hop("fedbrain/deploy/site_side/worker.py:Worker._train", "trains on the model of the round"),
    Hop("fedbrain/experiments/client_work.py:make_client", "the site's scans as batches"),
    Hop("fedbrain/training/cohorts.py:_map_clients", "a cohort of one client"),
    Hop("fedbrain/training/local_steps.py:begin", "before the first local step"),
    Hop("fedbrain/training/local_steps.py:stream", "one step for each batch"),
    Hop("fedbrain/algorithms/client.py:_step", "the equation of a step"),
    Hop("fedbrain/training/local_steps.py:end", "after the last one: an update, and what stays"),
    Hop("fedbrain/algorithms/client.py:_finish", "delta = after - before"),
    Hop("fedbrain/deploy/protocol/answers.py:write_update", "the update as scalars and vectors"),
    Hop("fedbrain/deploy/protocol/wire.py:pack", "header, hash, vectors: one message"),
    Hop("fedbrain/deploy/protocol/codec.py:encode", "a vector as bytes, bit for bit"),
    Hop("fedbrain/deploy/site_side/audit.py:Audit.record", "a line in the site's own record"),
    Hop("fedbrain/deploy/nvflare/parcels.py:pieces", "a large message in pieces of 1 MB"),
    Hop("fedbrain/deploy/nvflare/transport.py:Transport.ask", "the server receives it"),
    Hop("fedbrain/deploy/nvflare/parcels.py:whole", "puts the pieces together"),
    Hop("fedbrain/deploy/protocol/gate.py:admit", "admits or refuses it"),
    Hop("fedbrain/deploy/protocol/wire.py:unpack", "checks hash and header, reads the vectors"),
    Hop("fedbrain/deploy/protocol/gate.py:too_large", "compares the norms of the round"),
    Hop("fedbrain/deploy/server_side/cohort.py:read_answers", "the cohort as one matrix"),
    Hop("fedbrain/deploy/server_side/cohort.py:make_aggregate.aggregate", "the server's step"),
    Hop("fedbrain/algorithms/server.py:reduce", "a cohort becomes a direction"),
    Hop("fedbrain/aggregators/mean.py:mean_over_clients", "by the rule of the configuration"),
    Hop("fedbrain/algorithms/server.py:apply", "the direction moves the model"),
    Hop("fedbrain/deploy/protocol/questions.py:write_model", "the new model goes to validation"),
    Hop("fedbrain/experiments/round_end.py:end_round", "the best model so far; the learning rate"),
    Hop("fedbrain/experiments/workdir.py:MetricsLog.write", "a line of the log"),
    Hop("fedbrain/experiments/checkpoints.py:Checkpoints.save", "the new model is on the disk"),
)
