"""Memory and disk of a job, estimated from its network and the site's images before it starts."""

import shutil
from pathlib import Path

import jax

from fedbrain.data.bids import find_scans
from fedbrain.data.memory import free_bytes
from fedbrain.data.pipeline import example_batch
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.site_file import Policy
from fedbrain.experiments.compiled import image_shape
from fedbrain.experiments.config import Experiment
from fedbrain.experiments.cost import step_bytes
from fedbrain.models.layers_outline import layers_of
from fedbrain.training.outline import outline
from fedbrain.types import Variables

GIB = 1 << 30
COPIES = 3  # of the model that a kept round takes: state, best state, answer


def require_resources(
    policy: Policy, experiment: Experiment, fresh: Variables, workdir: Path
) -> None:
    """Raises Refused when a job needs more memory or disk than there is, or than the site gives.

    Args:
      policy: of this site; `[at_most]` may hold `memory_gib` and `disk_gib`.
      experiment: of the job.
      fresh: variables from its seed.
      workdir: of this site and run.
    """
    batch = example_batch(image_shape(experiment), experiment.batch_size, experiment.inputs)
    layers = layers_of(experiment.task, fresh, batch)
    start = outline(experiment.algorithm, fresh, batch).start
    model = sum(leaf.nbytes for leaf in jax.tree.leaves(fresh))
    volume = batch["image"].nbytes / experiment.batch_size
    images = len(find_scans(policy.root, policy.pattern, pipeline=policy.pipeline))
    needed = {
        "memory": step_bytes(experiment, layers, start),
        "disk": images * volume + COPIES * (experiment.keep + 2) * model,
    }
    there = {"memory": free_bytes(), "disk": shutil.disk_usage(workdir).free}
    for name, wanted in needed.items():
        given = GIB * policy.at_most.get(f"{name}_gib", float("inf"))
        if wanted > min(given, there[name]):
            raise Refused(
                f"{name}: expected a job of at most {min(given, there[name]) / GIB:.1f} GiB at this"
                f" site, got one that needs about {wanted / GIB:.1f} GiB"
            )
