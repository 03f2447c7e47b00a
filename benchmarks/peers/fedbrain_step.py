"""One local step of fedbrain, as a round runs it: guarded, donated, from host memory.

Task: as torch_step.
"""

from functools import partial

import jax
import numpy as np
import optax

from benchmarks.paired import serve
from fedbrain import cli
from fedbrain.aggregators import AGGREGATORS, BESIDE
from fedbrain.algorithms import ClientChain, ServerChain, federated
from fedbrain.models import MODELS
from fedbrain.models.losses import LOSSES
from fedbrain.models.task import make_task
from fedbrain.training import local_steps


def prepare(task: dict):
    """(the compiled step, what it changes, a batch)."""
    cli.configure()
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    size, b = task["size"], task["batch"]
    arguments = {} if task["model"] == "densenet121" else {"dropout": 0.2}
    arguments["dtype"] = task.get("dtype", "float32")
    work = make_task(MODELS[task["model"]](**arguments), LOSSES["l1"]())
    algorithm = federated(
        ClientChain(work, optax.adam(1e-3)),
        ServerChain(AGGREGATORS["weighted_mean"](), optax.sgd(1.0), *BESIDE["mean"]),
    )
    rng = np.random.default_rng(0)
    image = rng.standard_normal((b, size, size, size, 1), dtype=np.float32)
    batch = {
        "image": image,
        "target": rng.standard_normal(b).astype(np.float32),
        "mask": np.ones(b, np.float32),
    }
    variables = jax.jit(work.init)(jax.random.key(0), image)
    server = algorithm.init(variables, np.ones(1, np.float32))
    begin = jax.jit(partial(local_steps.begin, algorithm.local))
    progress = begin(server, algorithm.init_client(variables), jax.random.key(1), batch)
    step = jax.jit(local_steps.guard(algorithm.local.step), donate_argnums=0)
    return step, progress, batch


def set_up(task: dict):
    """A lap is `steps` steps."""
    step, progress, batch = prepare(task)

    def lap() -> None:
        nonlocal progress
        for _ in range(task["steps"]):
            progress = step(progress, batch)
        jax.block_until_ready(progress)

    return lap


if __name__ == "__main__":
    serve(set_up, "jax", "jaxlib", "flax", "optax")
