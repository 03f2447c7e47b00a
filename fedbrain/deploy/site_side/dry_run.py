"""What a job would send from a site until its first round is over: the exact bytes, without a
server.

Sums of voxels come before the first round. The server makes a regression of those of all sites;
here that of this site alone stands for it, so that its shift is 0.
"""

# pyright: reportMissingImports=false

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from fedbrain.data.scratch import scratch
from fedbrain.data.voxel_combat import Told, combine, spread
from fedbrain.deploy.protocol.beside import write_beside
from fedbrain.deploy.protocol.first_model import read_start
from fedbrain.deploy.protocol.job import agree
from fedbrain.deploy.protocol.masked import is_masked
from fedbrain.deploy.protocol.questions import write_model, write_training_order
from fedbrain.deploy.protocol.voxels import write_voxels
from fedbrain.deploy.protocol.wire import unpack
from fedbrain.deploy.site_side.approval import read_job
from fedbrain.deploy.site_side.audit import describe
from fedbrain.deploy.site_side.beside_in_words import beside_in_words
from fedbrain.deploy.site_side.join import Joined, join
from fedbrain.deploy.site_side.policy import read_policy

LIMIT = 1 << 30  # bytes of a message


def dry_run(kit: Path, job: Path, output: Path) -> str:
    """Runs the first round of a job without a server, and writes what this site would send.

    Args:
      kit: of the site.
      job: folder of the job.
      output: file for the bytes of the update; those of other answers go beside it, under its name
        and the kind of the answer.

    Returns:
      What the bytes say, as text.

    Raises:
      Refused: as the site would refuse the job.
      ValueError: when its data cannot be read.
    """
    asked = read_job(job)
    policy = read_policy(kit / "local/site.toml")._replace(
        approval=False, withdrawn={}
    )  # nothing is sent
    policy = policy._replace(demands=policy.demands._replace(masked=False))
    fields, lines = _without_server(asked)
    if beside := beside_in_words([asked]):
        lines += ["Beside its rounds the job asks of this site:", *beside]
    with scratch(kit, prefix=".dry-") as runs:
        _show_earlier_runs(kit / "fedbrain", runs)
        (runs / "dry").mkdir()
        joined = join(policy, fields, workdir=runs / "dry", limit=LIMIT)
        answers = list(_answers(joined, fields))
        joined.worker.close()
    for answer in answers:
        told = describe(answer)
        path = output if told["kind"] == "update" else Path(f"{output}.{told['kind']}")
        lines.append(json.dumps(told))
        if told["kind"] != "validated":
            path.write_bytes(answer)
            lines.append(f"{path}: the {len(answer)} bytes of this message.")
    return "\n".join(lines)


def _without_server(job: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The job, without what only a server has, and sentences about that."""
    config, said = dict(job["config"]), []
    if read_start(config) is not None:
        config["initial"] = "random()"
        said.append("The job starts from a model that the server sends; here from one of its seed.")
    if is_masked(config["server"]["aggregator"]):
        config["server"] = {**config["server"], "aggregator": "weighted_mean()"}
        said.append(
            "The job is under secure aggregation; here are the numbers that masks would hide."
        )
    return {**job, "config": config}, said


def _show_earlier_runs(runs: Path, here: Path) -> None:
    """Shows a folder what a site's runs are judged by. Nothing is recorded in them."""
    for path in sorted(runs.glob("*")):
        if path.is_dir() and path.name != "volumes":
            (here / path.name).symlink_to(path.resolve(), target_is_directory=True)
        elif path.name == "voxel_sums.json":
            shutil.copy(path, here)


def _answers(joined: Joined, job: Mapping[str, Any]) -> Iterator[bytes]:
    """All that is sent until the first round is over, in its order."""
    worker = joined.worker
    terms, experiment = worker.terms, worker.experiment
    if experiment.harmonise is not None:
        yield from _sums_of_voxels(joined)
    state = experiment.algorithm.init(agree(job).fresh, jnp.ones(len(job["sites"])))
    yield worker.receive(write_model(terms, state, nonce="dry run: model", best_round=-1))
    yield worker.receive(write_training_order(terms, state, nonce="dry run: order"))
    if experiment.describe:
        yield worker.receive(write_beside(terms, "describe", 0, nonce="dry run: describe"))
    for number in range(len(experiment.baselines)):
        yield worker.receive(write_beside(terms, "sums", number, nonce=f"dry run: sums {number}"))


def _sums_of_voxels(joined: Joined) -> Iterator[bytes]:
    """Answers to the questions of voxel-wise ComBat."""
    worker = joined.worker
    terms, experiment = worker.terms, worker.experiment
    assert experiment.harmonise is not None

    def ask(kind: str, vectors: Mapping[str, Any]) -> bytes:
        question = write_voxels(terms, experiment, kind, vectors, nonce=f"dry run: {kind}")
        return worker.receive(question)

    averaged = ask("means", {})
    told = Told(**unpack(averaged, limit=LIMIT).vectors)
    common = combine([told], len(experiment.harmonise.columns))._asdict()
    squared = ask("spread", common)
    sigma = spread([unpack(squared, limit=LIMIT).vectors["squares"]], int(told.covariates[0]))
    yield from (averaged, squared, ask("shift", {**common, "sigma": sigma}))
