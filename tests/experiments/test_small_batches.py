"""Batches too small for batch statistics are refused before training, with what helps."""

import numpy as np
import pytest

from fedbrain.data.dataset import Scans
from fedbrain.data.splits import Fractions
from fedbrain.experiments import experiment
from fedbrain.experiments.advice import require_feasible, split_all, train_sizes
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.small_batches import (
    require_large_batches,
    smallest_batch,
    voxels_of,
)
from tests.experiment_under_test import config

SHAPE = (10, 12, 10, 1)
ONE_VOXEL = "adapted_sfcn(channels=(2, 2, 2, 2))"  # 10 -> 5 -> 2 -> 1


def read(model=ONE_VOXEL, batch_size=4, **fields):
    c = config("/nowhere")
    c.model, c.client.batch_size = model, batch_size
    c.client.update(fields)
    return read_experiment(c)


def people(n):
    ids = tuple(f"sub-{i:02d}" for i in range(n))
    return Scans(ids, ids, np.arange(n, dtype=np.float32), [np.zeros(SHAPE, np.float32)] * n)


@pytest.mark.parametrize(
    ("scans", "batch_size", "epochs", "microbatches", "least"),
    [(8, 4, 1, 1, 4), (9, 4, 1, 1, 1), (9, 4, 4, 1, 4), (3, 8, 1, 1, 3), (10, 8, 1, 4, 2),
     (9, 8, 1, 4, 1), (1, 8, 1, 1, 1)],
)  # fmt: skip
def test_the_smallest_batch(scans, batch_size, epochs, microbatches, least):
    assert least == smallest_batch(
        scans, batch_size=batch_size, epochs=epochs, microbatches=microbatches
    )


@pytest.mark.parametrize(("scans", "values"), [(9, "batch of 1 scan: 1 value"), (10, "2 values")])
def test_a_short_last_batch_at_one_voxel_is_refused(scans, values):
    with pytest.raises(ValueError, match=rf"config.model.*over 1 voxel .*10 x 12 x 10.*{values}"):
        require_large_batches(read(), {"all": [40], "amber": [scans]}, SHAPE, model=ONE_VOXEL)


def test_the_batch_size_that_is_proposed_is_accepted():
    sizes = {"amber": [9], "birch": [13, 8]}
    with pytest.raises(ValueError, match=r"amber, with 9 .*config.client.batch_size=5") as error:
        require_large_batches(read(), sizes, SHAPE, model=ONE_VOXEL)
    assert "norm='group'" in str(error.value)
    require_large_batches(read(batch_size=5), sizes, SHAPE, model=ONE_VOXEL)


@pytest.mark.parametrize(
    ("model", "scans"),
    [
        (ONE_VOXEL, 11),  # three values
        (ONE_VOXEL.replace("))", "), norm='group')"), 9),
        ("adapted_sfcn(channels=(2, 2, 2))", 9),  # 2 x 3 x 2 voxels
    ],
)
def test_what_can_be_normalised_is_not_refused(model, scans):
    require_large_batches(read(model), {"amber": [scans]}, SHAPE, model=model)


def test_a_body_for_which_the_head_leaves_no_step_is_refused_before_training():
    """Of 10 people 6 train, in batches of 4 and 3 epochs: 5 steps."""
    c = config("/nowhere")
    c.client.epochs = 3
    splits = split_all(
        read_experiment(c)._replace(fractions=Fractions(0.2, 0.2)), {"amber": people(10)}
    )
    c.algorithm = "fedrep(head_steps=4)"
    require_feasible(c, read_experiment(c), (), splits, SHAPE)
    c.algorithm = "fedrep(head_steps=5)"
    with pytest.raises(ValueError, match=r"config.algorithm: expected fewer head_steps .* 5 in a"):
        require_feasible(c, read_experiment(c), (), splits, SHAPE)


def test_microbatches_count():
    halves = read(batch_size=8, microbatches=4)
    with pytest.raises(ValueError, match="a batch of 2 scans"):
        require_large_batches(halves, {"amber": [16]}, SHAPE, model=ONE_VOXEL)


def test_sizes_of_all_regimes_and_splits():
    c = read()._replace(fractions=Fractions(0.2, 0.2), repeats=range(2))
    splits = split_all(c, {"amber": people(10), "birch": people(11)})
    sizes = train_sizes(c, splits)
    assert set(sizes) == {"amber", "birch", "all"}
    assert max(sizes["all"]) == max(sizes["amber"]) + max(sizes["birch"])


def test_an_experiment_refuses_before_it_trains(tmp_path, monkeypatch):
    c = config(tmp_path / "cache")
    c.model, c.client.batch_size = ONE_VOXEL, 2
    with pytest.raises(ValueError, match=r"values? a feature, at least 3 are needed"):
        experiment.run(c, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_voxels_of_the_smallest_map():
    assert voxels_of(read(), SHAPE) == 1
    assert voxels_of(read("adapted_sfcn(channels=(2, 2))"), SHAPE) == 5 * 6 * 5
