"""Shares of tissue in cells, against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.models.tissue_shares import LEVELS, tissue_shares


def _features(image, **arguments):
    """What enters the norm: with group norm off, by a head of ones on one feature at a time."""
    module = tissue_shares(**arguments, dropout=0.0)
    variables = module.init(jax.random.key(0), image, train=False)
    count = variables["params"]["head"]["kernel"].shape[0]
    stats = {"mean": jnp.zeros(count), "var": jnp.full(count, 1 - 1e-5)}  # the norm changes nothing
    eye = {**variables["params"], "head": {"kernel": jnp.eye(count), "bias": jnp.zeros(count)}}
    module = tissue_shares(**arguments, dropout=0.0, outputs=count)
    return module.apply({"params": eye, "batch_stats": {"norm1": stats}}, image, train=False)


def test_shares_are_those_of_numpy():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1.5, (2, 9, 8, 4, 1)).astype(np.float32)
    levels = (-1.0, 0.0, 2.0)
    inside = image[:, :8]  # of nine voxels one is dropped, at the far end
    expected = []
    for corner in [(j, k) for j in (0, 4) for k in (0,)]:
        j, k = corner
        for level in range(3):
            heights = [float(level == n) for n in range(3)]
            share = np.interp(inside[:, :, j : j + 4, k : k + 4, 0], levels, heights)
            expected.append(share.mean((1, 2, 3)))  # both cells along the first axis are mirrored
    got = _features(jnp.asarray(image), levels=levels, cell=4)
    np.testing.assert_allclose(got, np.stack(expected, axis=1), atol=1e-6)


def test_shares_of_a_cell_add_up_to_one_and_sides_do_not_matter():
    image = jax.random.normal(jax.random.key(1), (3, 8, 8, 8, 1)) * 3
    features = _features(image, cell=4)
    assert features.shape == (3, 4 * len(LEVELS))
    np.testing.assert_allclose(features.reshape(3, 4, -1).sum(2), 1.0, atol=1e-5)
    np.testing.assert_allclose(_features(image[:, ::-1], cell=4), features, atol=1e-6)


@pytest.mark.parametrize("arguments", [{"levels": (1.0,)}, {"levels": (1.0, 0.0)}, {"cell": 0}])
def test_levels_that_do_not_rise_and_empty_cells_are_refused(arguments):
    with pytest.raises(ValueError, match="expected at least two rising levels and a cell"):
        tissue_shares(**arguments)
