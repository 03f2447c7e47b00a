"""Batches: complete, padded, augmented, and the same for the same seed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fedbrain.data.augment import AUGMENTS, apply, augment
from fedbrain.data.dataset import Scans, Volumes
from fedbrain.data.inputs import Inputs
from fedbrain.data.pipeline import eval_batches, example_batch, pipeline_seed, train_batches
from fedbrain.data.prepared_file import save_prepared

PLAIN = Inputs(AUGMENTS["none"](), {}, 1)


def _scans(n=10) -> Scans:
    ids = tuple(f"s{i}" for i in range(n))
    volumes = [np.full((4, 5, 6, 1), i + 1, np.float32) for i in range(n)]
    return Scans(ids, ids, np.arange(n, dtype=np.float32), volumes)


def _change(augment, image, seed):
    return apply(image, augment.draw(image.shape, np.random.default_rng(seed)), turns=augment.turns)


def _epoch(seed, epochs=1, augment=None, n=10):
    inputs = Inputs(augment or AUGMENTS["none"](), {}, 1)
    return list(train_batches(_scans(n), batch_size=4, epochs=epochs, seed=seed, inputs=inputs))


@pytest.mark.parametrize("epochs", [1, 3])
def test_every_scan_once_an_epoch_and_padding_is_masked(epochs):
    batches = _epoch(0, epochs)
    assert all(b["image"].shape == (4, 4, 5, 6, 1) for b in batches)
    mask = np.concatenate([b["mask"] for b in batches]) > 0
    targets = np.concatenate([b["target"] for b in batches])[mask]
    assert sorted(targets) == sorted(list(range(10)) * epochs)
    images = np.concatenate([b["image"] for b in batches])[mask]
    np.testing.assert_array_equal(images[:, 0, 0, 0, 0], targets + 1)


def test_order_depends_on_the_seed_alone():
    orders = [np.concatenate([b["target"] for b in _epoch(s)]).tolist() for s in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    epochs = np.concatenate([b["target"] for b in _epoch(1, 2)])
    assert epochs[:10].tolist() != epochs[10:20].tolist()


def test_augmentation_is_reproducible_and_fresh():
    change = augment(flip=True, shift=1, rotate_deg=5.0, scale=0.1, intensity=0.2)
    one, two, other = (
        np.concatenate([b["image"] for b in _epoch(s, augment=change)]) for s in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_evaluation_keeps_order_and_shape():
    batches = list(eval_batches(_scans(6), batch_size=4, inputs=PLAIN))
    assert [b["target"].tolist() for b in batches] == [[0, 1, 2, 3], [4, 5, 0, 0]]
    assert [b["mask"].tolist() for b in batches] == [[1] * 4, [1, 1, 0, 0]]
    assert batches[1]["image"][:, 0, 0, 0, 0].tolist() == [5, 6, 5, 6]  # copies, not zeros
    example = example_batch((4, 5, 6, 1), 4, PLAIN)
    assert {k: (v.shape, v.dtype) for k, v in example.items()} == {
        k: (v.shape, v.dtype) for k, v in batches[0].items()
    }


def test_unknown_targets_do_not_spread():
    scans = _scans(2)
    scans.target[0] = np.nan
    assert np.isfinite(next(eval_batches(scans, batch_size=2, inputs=PLAIN))["target"]).all()


@pytest.mark.parametrize("name", AUGMENTS)
def test_contract_of_augmentations(name):
    image = np.random.default_rng(0).normal(size=(6, 7, 8, 1)).astype(np.float32)
    out = _change(AUGMENTS[name](), image, 1)
    assert out.shape == image.shape
    assert out.dtype == np.float32


def test_shift_and_flip_by_hand():
    image = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    seen = {tuple(_change(augment(flip=False, shift=1), image, s).ravel()) for s in range(30)}
    assert seen == {(0, 0, 1, 2), (0, 1, 2, 3), (1, 2, 3, 3)}
    seen = {tuple(_change(augment(flip=True, shift=0), image, s).ravel()) for s in range(20)}
    assert seen == {(0, 1, 2, 3), (3, 2, 1, 0)}


def test_a_zero_rotation_changes_nothing():
    image = np.random.default_rng(0).normal(size=(5, 5, 5, 1)).astype(np.float32)
    out = _change(augment(flip=False, shift=0, rotate_deg=1e-9), image, 0)
    np.testing.assert_allclose(out, image, atol=1e-5)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="Expected shift"):
        augment(shift=-1)


def test_seeds_differ_by_every_part():
    seeds = {pipeline_seed(0, r, c) for r in range(3) for c in ("a", "b")}
    assert len(seeds) == 6
    assert all(0 <= s < 2**31 for s in seeds)


def test_many_threads_read_prepared_volumes(tmp_path):
    """20,000 reads by four threads.

    A `.npy` header, parsed by ast, fails here within seconds on CPython 3.11.
    """
    paths = []
    for i in range(4):
        paths.append(tmp_path / f"{i}.f32")
        save_prepared(paths[-1], np.full((2, 3, 4), i, np.float32))
    volumes = Volumes([[p] for p in paths], (2, 3, 4))
    with ThreadPoolExecutor(4) as pool:
        means = list(pool.map(lambda k: float(volumes[k % 4].mean()), range(20_000)))
    assert means == [k % 4 for k in range(20_000)]
