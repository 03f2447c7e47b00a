"""Rounds of fedbrain. Task: {"case", "clients", "cohort", "steps", "rounds"}; a lap is `rounds` rounds.

"volumes": every client takes `steps` steps of batch 8 of the adapted SFCN at 26^3, in the driver of a Python loop.
"pictures": `cohort` of `clients` clients take `steps` steps of batch 10 of a small 2-D network, in one compiled loop.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.paired import serve
from fedbrain import startup
from fedbrain.aggregators import AGGREGATORS, BATCH_STATISTICS
from fedbrain.algorithms import federated
from fedbrain.losses import LOSSES
from fedbrain.models import MODELS
from fedbrain.models.convolution import conv3d
from fedbrain.round import Client, loop, make_round
from fedbrain.simulate import Clients, Plan, simulate
from fedbrain.task import make_task


class PictureNet(nn.Module):
    """Two 5x5 convolutions of 16 and 32 channels with ReLU and 2x2 pooling, then one dense layer."""

    @nn.compact
    def __call__(self, image, *, train=False, mask=None):
        del train, mask
        x = image[:, None, :, :, None]  # one voxel deep
        for i, features in enumerate((16, 32)):
            kernel = self.param(f"kernel{i}", nn.initializers.he_normal(), (1, 5, 5, x.shape[-1], features))
            x = nn.relu(conv3d(x, kernel) + self.param(f"bias{i}", nn.initializers.zeros, (features,)))
            corners = [x[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)]
            x = jnp.maximum(jnp.maximum(*corners[:2]), jnp.maximum(*corners[2:]))
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


def volumes(task: dict):
    """Rounds by `loop`."""
    work = make_task(MODELS["adapted_sfcn"](dropout=0.2), LOSSES["l1"]())
    algorithm = federated(
        work, optax.adam(1e-3), AGGREGATORS["weighted_mean"](), optax.sgd(1.0), statistics=BATCH_STATISTICS["mean"]
    )
    rng = np.random.default_rng(0)
    data = [
        {
            "image": rng.standard_normal((8, 26, 26, 26, 1), dtype=np.float32),
            "target": rng.standard_normal(8).astype(np.float32),
            "mask": np.ones(8, np.float32),
        }
        for _ in range(task["clients"])
    ]
    variables = jax.jit(work.init)(jax.random.key(0), data[0]["image"])
    run_round = make_round(algorithm, loop())
    state = algorithm.init(variables, np.ones(task["clients"], np.float32))
    own = [algorithm.init_client(variables) for _ in data]
    number = 0

    def lap() -> None:
        nonlocal state, own, number
        for _ in range(task["rounds"]):
            keys = jax.random.split(jax.random.key(number), len(data))
            cohort = [Client(str(i), 80, own[i], keys[i], [data[i]] * task["steps"]) for i in range(len(data))]
            state, own, _ = run_round(state, cohort, data[0])
            number += 1
        jax.block_until_ready(state)

    return lap


def pictures(task: dict):
    """Rounds in one compiled loop."""
    work = make_task(PictureNet(), LOSSES["cross_entropy"](classes=10))
    algorithm = federated(
        work, optax.sgd(0.05), AGGREGATORS["weighted_mean"](), optax.sgd(1.0), statistics=BATCH_STATISTICS["mean"]
    )
    rng = np.random.default_rng(0)
    n = task["clients"]
    image = jnp.asarray(rng.standard_normal((n, 100, 28, 28), dtype=np.float32))
    target = jnp.asarray(rng.integers(0, 10, (n, 100)), jnp.float32)
    data = Clients(image, target, jnp.ones((n, 100)))
    plan = Plan(task["rounds"], 10, np.full(n, task["steps"]), task["cohort"], 0.0, task["rounds"])
    variables = work.init(jax.random.key(0), image[0, :1])
    run = jax.jit(lambda key: simulate(algorithm, variables, data, plan, key, evaluate=lambda *_: jnp.zeros(())).server)
    return lambda: jax.block_until_ready(run(jax.random.key(1)))


def set_up(task: dict):
    """One of the two cases."""
    startup.configure()
    return {"volumes": volumes, "pictures": pictures}[task["case"]](task)


if __name__ == "__main__":
    serve(set_up, "jax", "jaxlib", "flax", "optax")
