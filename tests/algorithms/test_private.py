"""Clipping and noise of a private client, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedbrain.algorithms import ClientChain, Sharing
from fedbrain.algorithms.private import clip, dp_fedsgd, private_local
from fedbrain.algorithms.quadratic import quadratic_algorithm, quadratic_task
from fedbrain.algorithms.trainable import only_head
from fedbrain.models import MODELS, Frozen
from fedbrain.models.losses import l1
from fedbrain.models.task import make_task
from fedbrain.training import local_steps
from fedbrain.training.outline import outline
from tests import tiny

NOISELESS = 1e-9


def _algorithm(noise=NOISELESS, norm=1.0, rate=0.5, parts=1, task=None, sharing=Sharing()):  # noqa: B008
    chain = ClientChain(task or quadratic_task(), optax.sgd(rate), microbatches=parts)
    local = private_local(chain, sharing, dp_fedsgd(noise, norm, loss_bound=10.0))
    return quadratic_algorithm()._replace(local=local)


def _round(algorithm, targets, size, key=0, w=0.0):
    """The update of a client whose optima are `targets`, in batches of `size`."""
    server = algorithm.init({"params": {"w": jnp.full(1, w)}}, jnp.ones(1))
    own = algorithm.init_client({"params": server.params})
    targets = np.asarray(targets, np.float32)
    batches = []
    for k in range(0, len(targets), size):
        part = targets[k : k + size]
        target = np.zeros(size, np.float32)
        target[: len(part)] = part
        mask = (np.arange(size) < len(part)).astype(np.float32)
        batches.append({"image": np.zeros((size, 1), np.float32), "target": target, "mask": mask})
    start = local_steps.begin(algorithm.local, server, own, jax.random.key(key), batches[0])
    done = local_steps.stream(local_steps.guard(algorithm.local.step), start, batches)
    examples = jnp.asarray(float(len(targets)))
    return local_steps.end(algorithm.local, server, own, done, examples)[0]


@pytest.mark.parametrize(("size", "parts"), [(1, 1), (2, 2), (4, 1), (4, 2), (8, 4)])
def test_a_round_is_one_step_along_the_mean_of_clipped_gradients(size, parts):
    targets = [0.25, -3.0, 0.5, 8.0, -0.6]  # gradients w - b at w = 0, clipped to 1
    update = _round(_algorithm(parts=parts), targets, size)
    mean = np.clip(-np.asarray(targets), -1, 1).mean()
    np.testing.assert_allclose(update.delta, [-0.5 * mean], rtol=3e-6)
    assert float(update.weight) == 5
    assert set(update.metrics) == {"count", "examples", "steps"}  # no loss without noise


def test_one_person_moves_the_sum_by_no_more_than_the_clipping_norm():
    rest = [0.3, -0.2, 0.1, 0.4]
    rate, norm = 0.5, 0.7
    without = _round(_algorithm(norm=norm, rate=rate), [*rest, 0.0], 4).delta
    for extreme in (5.0, -1e6, 3e38, np.inf, np.nan):
        moved = _round(_algorithm(norm=norm, rate=rate), [*rest, extreme], 4).delta
        assert np.isfinite(moved).all()
        assert np.abs(moved - without).max() <= rate * norm / 5


def test_noise_has_its_standard_deviation_and_is_of_its_round_and_key():
    algorithm = _algorithm(noise=3.0, norm=2.0, rate=1.0)
    updates = [float(_round(algorithm, np.zeros(4), 4, key=k).delta[0]) for k in range(200)]
    assert np.std(updates) == pytest.approx(3.0 * 2.0 / 4, rel=0.15)
    assert abs(np.mean(updates)) < 3 * 1.5 / np.sqrt(200)
    assert len(set(updates)) == 200
    assert float(_round(algorithm, np.zeros(4), 4, key=7).delta[0]) == updates[7]


def test_what_is_clipped_is_the_norm_over_all_leaves():
    tree = {"a": jnp.array([3.0]), "b": jnp.array([[0.0, 4.0]])}
    clipped = clip(tree, 1.0, jnp.ones(()))
    assert float(np.hypot(clipped["a"][0], clipped["b"][0, 1])) <= 1
    np.testing.assert_allclose(clipped["b"][0, 1] / clipped["a"][0], 4 / 3, rtol=1e-6)
    same = clip(tree, 5.1, jnp.ones(()))
    np.testing.assert_allclose(same["a"], tree["a"], rtol=2e-6)
    assert not np.any(clip(tree, 1.0, jnp.zeros(()))["a"])


def _outline(norm, trainable):
    network = MODELS["adapted_sfcn"](channels=(4, 8), dropout=0.0, norm=norm)
    chosen = trainable(network.stages)
    task = make_task(Frozen(network, chosen), l1(centre=50.0, scale=15.0))
    sharing = Sharing(trainable=chosen)
    algorithm = _algorithm(task=task, sharing=sharing)
    plain = tiny.algorithm(task, sharing=sharing)
    return outline(
        plain._replace(local=algorithm.local), tiny.variables(task), tiny.example()
    ).update


def test_networks_with_statistics_over_a_batch_are_refused_unless_only_their_head_trains():
    everything = lambda stages: lambda collection, path: True  # noqa: E731
    with pytest.raises(ValueError, match="expected a network whose scans do not depend on each"):
        _outline("batch", everything)
    for norm, trainable in (("group", everything), ("batch", only_head)):
        update = _outline(norm, trainable)
        assert not jax.tree.leaves((update.model_state, update.extra))


@pytest.mark.parametrize("wrong", ["noise_multiplier", "clip_norm", "loss_bound"])
def test_a_mechanism_that_hides_nothing_is_refused(wrong):
    right = {"noise_multiplier": 1.0, "clip_norm": 1.0, "loss_bound": 1.0}
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"Expected {wrong}="):
            dp_fedsgd(**{**right, wrong: value})
    with pytest.raises(ValueError, match="Expected 0 < delta_dp"):
        dp_fedsgd(**right, delta_dp=1.0)
