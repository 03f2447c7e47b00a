"""The same rounds in FedJAX. Task: as fedbrain_round.

FedJAX has no batch statistics: volumes are normalised by their batch, without running averages. It
asks for a name that jax has removed since, which is given back here.
"""

import fedjax
import jax
import jax.numpy as jnp
import numpy as np
from fedjax.algorithms.fed_avg import federated_averaging
from jax import lax

from benchmarks.paired import serve

jax.tree_map = jax.tree.map

Shapes = list[tuple[int, ...]]


def _pool(x: jax.Array) -> jax.Array:
    window = (1, *(2,) * (x.ndim - 2), 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def volumes(params: list, x: jax.Array) -> jax.Array:
    """The adapted SFCN."""
    for kernel, pointwise in ((params[0], False), (params[1], False), (params[2], True)):
        x = lax.conv_general_dilated(
            x, kernel, (1, 1, 1), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
        )
        axes = (0, 1, 2, 3)
        x = (x - x.mean(axes)) * lax.rsqrt(x.var(axes) + 1e-5)
        x = jax.nn.relu(x if pointwise else _pool(x))
    return x.mean((1, 2, 3)) @ params[3]


def pictures(params: list, x: jax.Array) -> jax.Array:
    """Two convolutions and a dense layer."""
    for kernel in params[:2]:
        x = lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = _pool(jax.nn.relu(x))
    return x.reshape(x.shape[0], -1) @ params[2]


VOLUMES: Shapes = [(3, 3, 3, 1, 32), (3, 3, 3, 32, 64), (1, 1, 1, 64, 128), (128, 1)]
PICTURES: Shapes = [(5, 5, 1, 16), (5, 5, 16, 32), (1568, 10)]


def set_up(task: dict):
    """A lap is `rounds` rounds."""
    three = task["case"] == "volumes"
    forward, shapes, size = (volumes, VOLUMES, 8) if three else (pictures, PICTURES, 10)
    rng = np.random.default_rng(0)
    params = [
        jnp.asarray(rng.standard_normal(s, dtype=np.float32) / np.sqrt(np.prod(s[:-1])))
        for s in shapes
    ]

    def loss(params, batch, key):
        y = forward(params, batch["x"])
        if three:
            return jnp.abs(y[:, 0] - batch["y"]).mean()
        return -jnp.take_along_axis(
            jax.nn.log_softmax(y), batch["y"].astype(jnp.int32)[:, None], 1
        ).mean()

    n = size * task["steps"]
    shape = (n, 26, 26, 26, 1) if three else (n, 28, 28, 1)
    data = [
        fedjax.ClientDataset(
            {
                "x": rng.standard_normal(shape, dtype=np.float32),
                "y": rng.integers(0, 10, n).astype("f4"),
            }
        )
        for _ in range(task["clients"])
    ]
    client = fedjax.optimizers.adam(1e-3) if three else fedjax.optimizers.sgd(0.05)
    how = fedjax.ShuffleRepeatBatchHParams(batch_size=size, num_epochs=1, seed=0)
    algorithm = federated_averaging(jax.grad(loss), client, fedjax.optimizers.sgd(1.0), how)
    state = algorithm.init(params)

    def lap() -> None:
        nonlocal state
        for _ in range(task["rounds"]):
            chosen = rng.choice(len(data), task["cohort"], replace=False)
            keys = jax.random.split(
                jax.random.key_data(jax.random.key(int(chosen[0]))), len(chosen)
            )
            state, _ = algorithm.apply(
                state, [(str(i), data[i], key) for i, key in zip(chosen, keys)]
            )
        jax.block_until_ready(state.params)

    return lap


if __name__ == "__main__":
    serve(set_up, "fedjax", "jax")
