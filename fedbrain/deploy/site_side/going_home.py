"""What a site keeps of a run. Its folder is the work directory of an experiment of one client, so
that `predict`, `export`, `saliency` and `report` work on it; nothing of it is sent.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fedbrain.analysis.results import summarise
from fedbrain.analysis.stored_predictions import write_tests
from fedbrain.data.dataset import Scans
from fedbrain.deploy.protocol.job import Agreement
from fedbrain.experiments.checkpoints import Checkpoints, tree_digest
from fedbrain.experiments.clients import fingerprints
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.experiment import combine, name_of
from fedbrain.experiments.known_people import write_scans
from fedbrain.experiments.repeats import Repeat, run_folder
from fedbrain.experiments.round_end import first_snapshot
from fedbrain.experiments.run_files import draw_figures, write_predictions
from fedbrain.experiments.workdir import write_json
from fedbrain.types import ClientState, ServerState


def write_identity(
    workdir: Path,
    config: Mapping[str, Any],
    target: str,
    experiment: Experiment,
    clients: dict[str, Scans],
) -> None:
    """Writes what the folder is the work directory of, and which scans are in which part.

    Args:
      workdir: of the site.
      config: of the job, with the site's own fields.
      target: what the job calls its target.
      experiment: the configuration, read.
      clients: the site -> its scans.
    """
    identity = {"config": config, "target": target, "data": fingerprints(clients)}
    write_json(workdir / "config.json", identity)
    write_scans(workdir, experiment, clients)


def keep_model(
    workdir: Path,
    name: str,
    agreement: Agreement,
    best: ServerState,
    own: ClientState,
    *,
    best_loss: float,
) -> None:
    """Keeps the best round's model as a checkpoint of the federation.

    Args:
      workdir: of the site.
      name: of the site.
      agreement: of the job.
      best: the server's state after the best round.
      own: the site's private state after it.
      best_loss: the model's pooled validation loss, as far as it is told.
    """
    algorithm, round = agreement.experiment.algorithm, int(best.round)
    server = algorithm.init(agreement.fresh, jnp.ones(1))
    server = server._replace(round=best.round, params=best.params, model_state=best.model_state)
    snapshot = first_snapshot(server, [own])
    selection = snapshot.selection._replace(
        best_round=np.int64(round),
        best_loss=np.asarray(best_loss),
    )
    folder = run_folder(workdir, "federated", agreement.split_id)
    write_json(folder / "members.json", [name])
    checkpoints = Checkpoints(folder / "checkpoints", keep=2)
    checkpoints.drop_from(0)
    checkpoints.save(round, snapshot._replace(selection=selection))
    checkpoints.close()


def write_home(
    workdir: Path,
    experiment: Experiment,
    repeats: list[Repeat],
    *,
    site: str,
    scans: int,
    synthetic: bool,
) -> None:
    """Writes predictions of the site's own people, figures and results.

    Args:
      workdir: of the site.
      experiment: of the job.
      repeats: with the runs of all splits, and the predictions of their models.
      site: its name.
      scans: how many it has.
      synthetic: whether images of no real person are among the scans.
    """
    combined = combine(repeats)
    write_predictions(workdir, repeats)
    tests = [{**own, **floors} for own, floors in zip(combined.own, combined.baselines)]
    write_tests(workdir, dict(zip(experiment.repeats, tests, strict=True)))
    draw_figures(workdir, repeats, combined.own, unit=experiment.unit, synthetic=synthetic)
    results = summarise(combined.own, combined.baselines, combined.crossed)
    known = {"unit": experiment.unit, "synthetic": synthetic}
    counts = {"images": {site: scans}, "excluded": {}}
    runs = [run for repeat in repeats for run in repeat.runs]
    counts["variables_sha256"] = {name_of(run): tree_digest(run.trained.variables) for run in runs}
    write_json(workdir / "results.json", {**known, **counts, **results})
