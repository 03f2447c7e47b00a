"""Rounds of fedbrain; a lap is `rounds` rounds.

Task: {"case", "clients", "cohort", "steps", "rounds"}.

"volumes": every client takes `steps` steps of batch 8 of the adapted SFCN at 26^3. "pictures":
`cohort` of `clients` clients take `steps` steps of batch 10 of a small 2-D network. Both run in the
driver `loop`, which is the one for CPUs.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.paired import serve
from fedbrain import cli
from fedbrain.aggregators import AGGREGATORS, BESIDE
from fedbrain.algorithms import ClientChain, ServerChain, federated
from fedbrain.models import MODELS
from fedbrain.models.convolution import conv3d
from fedbrain.models.losses import LOSSES
from fedbrain.models.task import make_task
from fedbrain.training.maps import loop
from fedbrain.training.round import Client, make_round


class PictureNet(nn.Module):
    """Two 5x5 convolutions, 16 and 32 channels, with ReLU and 2x2 pooling; one dense layer."""

    @nn.compact
    def __call__(self, image, *, train=False, mask=None):
        del train, mask
        x = image[:, None, :, :, None]  # one voxel deep
        for i, features in enumerate((16, 32)):
            kernel = self.param(
                f"kernel{i}", nn.initializers.he_normal(), (1, 5, 5, x.shape[-1], features)
            )
            x = nn.relu(
                conv3d(x, kernel) + self.param(f"bias{i}", nn.initializers.zeros, (features,))
            )
            corners = [x[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)]
            x = jnp.maximum(jnp.maximum(*corners[:2]), jnp.maximum(*corners[2:]))
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


def volumes(clients: int):
    """(algorithm, a batch of each client, initial variables)."""
    work = make_task(MODELS["adapted_sfcn"](dropout=0.2), LOSSES["l1"]())
    return _federation(work, optax.adam(1e-3), clients, (8, 26, 26, 26, 1), 1)


def pictures(clients: int):
    """(algorithm, a batch of each client, initial variables)."""
    work = make_task(PictureNet(), LOSSES["cross_entropy"](classes=10))
    return _federation(work, optax.sgd(0.05), clients, (10, 28, 28), 10)


def _federation(work, optimizer, clients: int, shape: tuple[int, ...], targets: int):
    algorithm = federated(
        ClientChain(work, optimizer),
        ServerChain(AGGREGATORS["weighted_mean"](), optax.sgd(1.0), *BESIDE["mean"]),
    )
    rng = np.random.default_rng(0)
    mask = np.ones(shape[0], np.float32)
    data = [
        {
            "image": rng.standard_normal(shape, dtype=np.float32),
            "target": rng.integers(0, targets, shape[0]).astype(np.float32),
            "mask": mask,
        }
        for _ in range(clients)
    ]
    return algorithm, data, jax.jit(work.init)(jax.random.key(0), data[0]["image"])


def set_up(task: dict):
    """A lap is `rounds` rounds of `cohort` clients drawn from `clients`."""
    cli.configure()
    algorithm, data, variables = {"volumes": volumes, "pictures": pictures}[task["case"]](
        task["clients"]
    )
    run_round = make_round(algorithm, loop())
    state = algorithm.init(variables, np.ones(len(data), np.float32))
    own = [algorithm.init_client(variables) for _ in data]
    rng = np.random.default_rng(1)
    steps = task["steps"]

    def lap() -> None:
        nonlocal state
        for _ in range(task["rounds"]):
            chosen = rng.choice(len(data), task["cohort"], replace=False)
            keys = jax.random.split(
                jax.random.fold_in(jax.random.key(0), int(state.round)), len(chosen)
            )
            cohort = [
                Client(str(i), 8 * steps, own[i], key, [data[i]] * steps)
                for i, key in zip(chosen, keys)
            ]
            state, states, _ = run_round(state, cohort, data[0])
            for i, new in zip(chosen, states):
                own[i] = new
        jax.block_until_ready(state)

    return lap


if __name__ == "__main__":
    serve(set_up, "jax", "jaxlib", "flax", "optax")
