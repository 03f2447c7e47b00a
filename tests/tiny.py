"""Small things that many tests need: a network, a cohort, a BIDS tree, a configuration."""

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import nibabel as nib
import numpy as np
import optax

from fedbrain.aggregators.mean import weighted_mean
from fedbrain.aggregators.statistics import mean_statistics
from fedbrain.algorithms import ClientChain, ServerChain, federated
from fedbrain.experiments.compiled import init_variables
from fedbrain.models import MODELS
from fedbrain.models.losses import l1
from fedbrain.models.task import make_task
from fedbrain.training.round import Client

SHAPE = (8, 8, 8)


@cache  # one object for all tests: what is compiled for it is compiled once
def task(model="adapted_sfcn", **arguments):
    """A network with batch norm and a 1x1x1 convolution, small enough for a test."""
    arguments = (
        {"channels": (4, 8), "dropout": 0.0} | arguments if model == "adapted_sfcn" else arguments
    )
    return make_task(MODELS[model](**arguments), l1(centre=50.0, scale=15.0))


@cache
def variables(task, shape=SHAPE):
    return init_variables(task, jax.random.key(0), jnp.zeros((1, *shape, 1)))


def algorithm(
    task,
    optimizer=None,
    *,
    upload=None,
    microbatches=1,
    aggregator=None,
    server_optimizer=None,
    statistics=mean_statistics,
    **more,
):
    """FedAvg with momentum at the client, unless told otherwise."""
    client = ClientChain(
        task,
        optax.sgd(1e-2, momentum=0.9) if optimizer is None else optimizer,
        optax.identity() if upload is None else upload,
        microbatches,
    )
    server = ServerChain(
        weighted_mean() if aggregator is None else aggregator,
        optax.sgd(1.0) if server_optimizer is None else server_optimizer,
        statistics,
    )
    return federated(client, server, **more)


def batches(steps, *, seed, size=4, short=0, shape=SHAPE):
    """`steps` batches; the last one has `short` masked examples that hold garbage."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        mask = np.ones(size, np.float32)
        image = rng.normal(size=(size, *shape, 1)).astype(np.float32)
        if step == steps - 1 and short:
            mask[-short:] = 0
            image[-short:] = 1e6
        yield {"image": image, "target": rng.uniform(20, 80, size).astype(np.float32), "mask": mask}


def example(size=4, shape=SHAPE):
    return next(batches(1, seed=0, size=size, shape=shape))


def cohort(algorithm, variables, *, round=0, names=("cedar", "amber", "birch")):
    """Clients of different sizes, not in the order of their names."""
    key = jax.random.key(round)
    return [
        Client(
            name, 4 * (2 + i) - 1, algorithm.init_client(variables), jax.random.fold_in(key, i),
            list(batches(2 + i, seed=10 * round + i, short=1)),
        )
        for i, name in enumerate(names)
    ]  # fmt: skip


def save_volume(path: Path, data, affine=None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(
        nib.Nifti1Image(np.asarray(data), np.diag([3.0, 3, 3, 1]) if affine is None else affine),
        path,
    )
    return path


def brain(seed=0, shape=(16, 16, 16)) -> np.ndarray:
    """A noisy ball: something with a foreground."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    return ((np.linalg.norm(grid, axis=0) < 0.8) * rng.uniform(80, 120, shape)).astype(np.int16)


def write_tree(root: Path, subjects: int = 12) -> Path:
    ages = np.linspace(20, 75, subjects)
    for i in range(subjects):
        save_volume(root / f"sub-{i:02d}" / "anat" / f"sub-{i:02d}_T1w.nii.gz", brain(i))
    lines = ["participant_id\tage", *(f"sub-{i:02d}\t{age:.1f}" for i, age in enumerate(ages))]
    (root / "participants.tsv").write_text("\n".join(lines) + "\n")
    return root
