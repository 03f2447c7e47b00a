"""Volumes on the device: the same batches, the same rounds, as streamed from the host."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.data.augment import augment
from fedbrain.data.dataset import Scans
from fedbrain.data.inputs import Inputs, scaled
from fedbrain.data.pipeline import train_batches, train_references
from fedbrain.training.device_volumes import RESIDENCES, fetch, resident, store
from fedbrain.training.maps import chunk, loop, shard, vmap
from fedbrain.training.round import Client, make_round
from tests import tiny
from tests.training.test_round import _largest_difference

SHAPE = (8, 9, 10)
AUGMENTS = {
    "moves": augment(flip=True, shift=2, intensity=0.1, modality_dropout=0.5),
    "turns": augment(flip=True, shift=1, rotate_deg=8.0, scale=0.1, intensity=0.1),
}


def _inputs(change, modalities=1) -> Inputs:
    return Inputs(change, dict([scaled("sex", 0.5)] if modalities > 1 else []), modalities)


def _scans(n=7, seed=0, modalities=1) -> Scans:
    """The second scan lacks the last of several modalities."""
    rng = np.random.default_rng(seed)
    ids = tuple(f"s{i}" for i in range(n))
    volumes = [
        rng.normal(size=(*SHAPE, modalities)).clip(-5, 5).astype(np.float32) for _ in range(n)
    ]
    if modalities > 1:
        volumes[1][..., -1] = 0
    columns = {"sex": rng.integers(0, 2, n).astype(np.float32)}
    return Scans(ids, ids, rng.uniform(20, 80, n).astype(np.float32), volumes, columns)


def _volumes(scans, dtype="float32", length=0):
    stored = store(jnp.asarray(np.stack([scans.volumes[i] for i in range(len(scans))])), dtype)
    return jnp.concatenate(
        [stored, jnp.zeros((max(length - len(scans), 0), *stored.shape[1:]), stored.dtype)]
    )


@pytest.mark.parametrize("modalities", [1, 2])
@pytest.mark.parametrize("name", AUGMENTS)
def test_references_mean_the_streamed_batches(name, modalities):
    how = {"batch_size": 4, "epochs": 2, "seed": 3, "inputs": _inputs(AUGMENTS[name], modalities)}
    scans = _scans(modalities=modalities)
    streamed, references = (
        list(train_batches(scans, **how)),
        train_references(scans, (*SHAPE, modalities), **how),
    )
    assert len(streamed) == len(references) == 4
    run = jax.jit(partial(fetch, turns=AUGMENTS[name].turns))
    for batch, reference in zip(streamed, references):
        there = run(_volumes(scans), reference)
        np.testing.assert_array_equal(there["target"], batch["target"])
        np.testing.assert_array_equal(there["mask"], batch["mask"])
        assert set(there) == set(batch)
        if modalities > 1:
            np.testing.assert_array_equal(there["covariates"], batch["covariates"])
            assert batch["covariates"].shape == (4, 3)
        np.testing.assert_allclose(
            there["image"], batch["image"], atol=1e-6 if name == "moves" else 1e-3
        )


@pytest.mark.parametrize(
    ("dtype", "error"), [("float32", 0), ("bfloat16", 5 / 2**8), ("uint8", 0.5 / 25 + 1e-5)]
)
def test_what_a_type_costs(dtype, error):
    scans = _scans()
    how = {"batch_size": 7, "epochs": 1, "seed": 0, "inputs": _inputs(augment(flip=False, shift=0))}
    reference = train_references(scans, (*SHAPE, 1), **how)[0]
    image = fetch(_volumes(scans, dtype), reference, turns=False)["image"]
    truth = fetch(_volumes(scans), reference, turns=False)["image"]
    assert image.dtype == jnp.float32
    assert float(jnp.abs(image - truth).max()) <= error


@pytest.mark.parametrize(
    "driver",
    [loop(), chunk(2), vmap(), shard(2), shard(2, batch=2)],
    ids=["loop", "chunk", "vmap", "shard", "shard a batch"],
)
def test_a_round_on_the_device_is_the_streamed_round(driver):
    """Clients of unequal size, one of them absent."""
    task = tiny.task()
    variables = tiny.variables(task, SHAPE)
    algorithm = tiny.algorithm(task)
    own, change = algorithm.init_client(variables), AUGMENTS["moves"]

    def cohort(stays: bool):
        for i, n in enumerate((7, 3, 5)):
            scans = _scans(n, seed=i)
            how = {"batch_size": 4, "epochs": 1, "seed": i, "inputs": _inputs(change)}
            key = jax.random.key(i)
            if i == 2:
                yield Client("c2", 0, own, key, (), _volumes(scans, length=7) if stays else None)
            elif stays:
                yield Client(
                    f"c{i}",
                    n,
                    own,
                    key,
                    train_references(scans, (*SHAPE, 1), **how),
                    _volumes(scans, length=7),
                )
            else:
                yield Client(f"c{i}", n, own, key, train_batches(scans, **how))

    run_round = make_round(algorithm, driver)
    start = algorithm.init(variables, jnp.ones(3))
    ends = [
        run_round(start, list(cohort(stays)), tiny.example(shape=SHAPE)) for stays in (True, False)
    ]
    assert _largest_difference(ends[0][0].params, ends[1][0].params) < 1e-5
    np.testing.assert_array_equal(ends[0][2]["steps"], ends[1][2]["steps"])
    assert ends[0][2]["steps"].tolist() == [2, 1, 0]


def test_choices():
    assert RESIDENCES["streamed"]().itemsize == 0
    assert resident().itemsize == 2
    with pytest.raises(
        ValueError, match="Expected dtype='float32', 'bfloat16' or 'uint8', got 'int4'"
    ):
        resident("int4")
