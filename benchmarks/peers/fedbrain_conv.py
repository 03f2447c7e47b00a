"""One layer of fedbrain.

Task: {"layer", "batch", "size", "in", "out", "kernel", "stride", "backward", "repeats"}.
"""

import jax
import numpy as np

from benchmarks.paired import serve
from fedbrain import cli
from fedbrain.models.convolution import FORMULATIONS, conv3d
from fedbrain.models.normalisation import standardise
from fedbrain.models.pooling import avg_pool, max_pool


def layer_of(task: dict):
    """(function of x and weights, weights)."""
    rng = np.random.default_rng(0)
    c, o, k = task["in"], task["out"], task["kernel"]
    if task["layer"] in ("conv", *FORMULATIONS):
        kernel = rng.standard_normal((k, k, k, c, o), dtype=np.float32) / (k**3 * c) ** 0.5
        forward = conv3d if task["layer"] == "conv" else FORMULATIONS[task["layer"]][0]
        return (lambda x, w: forward(x, w, task["stride"])), kernel
    if task["layer"] == "norm":
        ones = np.ones(task["batch"], np.float32)
        return (lambda x, w: jax.nn.relu(standardise(x, ones, w, w, 1e-5)[0])), np.ones(
            c, np.float32
        )
    pad = task["kernel"] // 2 if task["kernel"] > task["stride"] else 0
    pool = {
        "max pool": lambda x: max_pool(x, k, stride=task["stride"], pad=pad),
        "mean pool": avg_pool,
    }[task["layer"]]
    return (lambda x, w: pool(x)), np.zeros(())


def set_up(task: dict):
    """A lap is `repeats` passes, forward or forward and backward.

    The first layer's input needs no gradient.
    """
    cli.configure()
    f, weights = layer_of(task)
    n, rng = task["size"], np.random.default_rng(1)
    x = jax.device_put(rng.standard_normal((task["batch"], n, n, n, task["in"]), dtype=np.float32))
    weights = jax.device_put(weights)
    if task["backward"]:
        g = jax.device_put(
            rng.standard_normal(jax.eval_shape(f, x, weights).shape, dtype=np.float32)
        )
        wanted = (1,) if task["in"] == 1 else (0, 1)

        def both(x, w, g):
            y, pull = jax.vjp(f, x, w)
            return y, [pull(g)[i] for i in wanted]

        run = jax.jit(both)
        return lambda: (
            [jax.block_until_ready(run(x, weights, g)) for _ in range(task["repeats"])] and None
        )
    run = jax.jit(f)
    return lambda: [jax.block_until_ready(run(x, weights)) for _ in range(task["repeats"])] and None


if __name__ == "__main__":
    serve(set_up, "jax", "jaxlib")
