"""What the first round of a job would send from a site: the exact bytes, without a server."""


# pyright: reportMissingImports=false

import json
import tempfile
from pathlib import Path

import jax.numpy as jnp

from fedbrain.deploy.protocol.first_model import read_start
from fedbrain.deploy.protocol.job import agree
from fedbrain.deploy.protocol.masked import is_masked
from fedbrain.deploy.protocol.questions import write_model, write_training_order
from fedbrain.deploy.site_side.approval import read_job
from fedbrain.deploy.site_side.audit import describe
from fedbrain.deploy.site_side.join import join
from fedbrain.deploy.site_side.policy import read_policy

SPARE_BYTES = 20 << 30  # volumes of a few thousand scans, models and logs
SPARE_DAYS = 30


def dry_run(kit: Path, job: Path, output: Path) -> str:
    """Runs the first round of a job without a server, and writes what this site would send.

    Args:
      kit: of the site.
      job: folder of the job.
      output: file for the bytes.

    Returns:
      What the bytes say, as text.
    """
    fields = read_job(job)
    policy = read_policy(kit / "local/site.toml")._replace(
        approval=False, withdrawn={}
    )  # nothing is sent
    policy = policy._replace(demands=policy.demands._replace(masked=False))
    with tempfile.TemporaryDirectory(dir=kit) as folder:
        if read_start(fields["config"]) is not None:
            fields = {**fields, "config": {**fields["config"], "initial": "random()"}}
            print("The job starts from a model that the server sends; here from one of its seed.")
        if is_masked(fields["config"]["server"]["aggregator"]):
            server = {**fields["config"]["server"], "aggregator": "weighted_mean()"}
            fields = {**fields, "config": {**fields["config"], "server": server}}
            print(
                "The job is under secure aggregation; here are the numbers that masks would hide."
            )
        worker = join(policy, fields, workdir=Path(folder), limit=1 << 30).worker
        terms, experiment = worker.terms, worker.experiment
        state = experiment.algorithm.init(agree(fields).fresh, jnp.ones(len(fields["sites"])))
        first = worker.receive(write_model(terms, state, nonce="dry run: model", best_round=-1))
        second = worker.receive(write_training_order(terms, state, nonce="dry run: order"))
        worker.close()
    output.write_bytes(second)
    lines = [json.dumps(describe(data)) for data in (first, second)]
    return "\n".join([*lines, f"{output}: the {len(second)} bytes of the second message."])
