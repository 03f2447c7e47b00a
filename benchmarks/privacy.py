"""Utility against epsilon: head-only transfer under differential privacy.

    python -m benchmarks.privacy --people=96,756,2424
    python -m benchmarks.privacy --bids=TREE

Three synthetic hospitals of the paper's sizes. A network is trained without privacy on a fourth,
public cohort; its body is frozen, and a head is trained on its features, from 0, by three hospitals
under `dp_fedsgd`. With `--bids` people are real, the features are the volumes of the regions that a
public network segmented (`derivatives/dlmuse`), a fifth of the people are public, and the others
are dealt out to three hospitals. Prints the MAE on each hospital's test people, mean and range over
three seeds of split and noise, beside the floor: the median of the training labels. Rounds, rate
and clipping norm are the same everywhere, and the last round is taken: nothing is chosen on people
of the hospitals.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from benchmarks.regions import regions_of
from fedbrain.aggregators import BESIDE, weighted_mean
from fedbrain.algorithms import ClientChain, ServerChain, Sharing, federated
from fedbrain.algorithms.private import dp_fedsgd, private_local
from fedbrain.analysis.gaussian_privacy import noise_multiplier_of
from fedbrain.data.dataset import Preparation
from fedbrain.data.recipes import RECIPES
from fedbrain.data.synthetic.site import synthetic
from fedbrain.experiments.spec import call
from fedbrain.models import MODELS
from fedbrain.models.losses import l1
from fedbrain.models.tabular import TABULAR
from fedbrain.models.task import make_task
from fedbrain.training.in_memory import Clients, Plan
from fedbrain.training.simulate import simulate

PEOPLE = flags.DEFINE_list("people", ["96", "756", "2424"], "People of three synthetic hospitals.")
PUBLIC = flags.DEFINE_integer("public", 400, "People of the public synthetic cohort.")
BIDS = flags.DEFINE_string("bids", "", "Tree of real scans with derivatives/dlmuse.")
CACHE = flags.DEFINE_string("cache", "", "Folder of prepared volumes; none: a temporary one.")
RECIPE = "conform(voxel_size_mm=12.0, shape=(16, 18, 16), mask='nonzero')"
ROUNDS, RATE, NORM, BOUND, DELTA, SEEDS = 40, 0.1, 15.0, 30.0, 1e-5, 3
EPSILONS = (1.0, 3.0, 8.0, None)  # None: without noise, and clipped all the same
LOSS = l1(centre=50.0, scale=15.0)


class Site(NamedTuple):
    """A hospital's people, as features of a frozen body."""

    features: np.ndarray  # [people, features], about of norm 1
    age: np.ndarray  # [people], years


def synthetic_scans(hospital: str, people: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(volumes [people d h w 1], ages)."""
    cache = Path(CACHE.value or tempfile.mkdtemp())
    scans, _ = synthetic(hospital, people, seed)("x", Preparation(call(RECIPE, RECIPES), cache))
    return np.stack([np.asarray(v) for v in scans.volumes]), np.asarray(scans.target)


def train_body(images: np.ndarray, ages: np.ndarray) -> Any:
    """A network trained on the public cohort: (module, variables)."""
    module = MODELS["adapted_sfcn"](channels=(16, 32, 64), dropout=0.2)
    task = make_task(module, LOSS)
    variables = dict(task.init(jax.random.key(0), jnp.zeros((1, *images.shape[1:]))))
    params, state = variables.pop("params"), variables
    chain = optax.adam(3e-3)

    @jax.jit
    def step(params, state, memory, batch, key):
        grads, (state, _) = jax.grad(task.loss, has_aux=True)(params, state, batch, key)
        updates, memory = chain.update(grads, memory, params)
        return optax.apply_updates(params, updates), state, memory

    memory, rng = chain.init(params), np.random.default_rng(0)
    for k in range(400):
        chosen = rng.choice(len(ages), min(32, len(ages)), replace=False)
        batch = {
            "image": images[chosen],
            "target": ages[chosen],
            "mask": np.ones(len(chosen), np.float32),
        }
        params, state, memory = step(params, state, memory, batch, jax.random.key(k))
    return module, {"params": params, **state}


def features_of(module: nn.Module, variables: Any, images: np.ndarray) -> np.ndarray:
    """What enters the last layer [n, features]."""

    @jax.jit
    def body(part):
        seen = []

        def keep(call, args, keywords, context):
            if context.module.name == "head":
                seen.append(args[0])
            return call(*args, **keywords)

        with nn.intercept_methods(keep):
            module.apply(variables, part, train=False)
        return seen[0]

    return np.concatenate([np.asarray(body(x)) for x in np.array_split(images, len(images) // 16)])


def scaled(public: np.ndarray, private: np.ndarray) -> np.ndarray:
    """Standardised by public people, so that a person's norm is about 1."""
    z = (private - public.mean(0)) / (public.std(0) + 1e-6)
    return np.clip(z, -4, 4) / np.sqrt(z.shape[1])


def head(sites: list[Site], seed: int, epsilon: float | None) -> tuple[list[float], list[float]]:
    """(MAE of each hospital's test people, of the median of its training labels), in years."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(site.age)) for site in sites]
    tests = [order[: len(order) // 5] for order in orders]
    trains = [order[2 * (len(order) // 5) :] for order in orders]  # a fifth validates, unused here
    longest = max(map(len, trains))
    width = sites[0].features.shape[1]
    data: Any = Clients(
        *(np.zeros((len(sites), longest, *shape), np.float32) for shape in ((width,), (), ()))  # type: ignore
    )
    for i, (site, train) in enumerate(zip(sites, trains)):
        data.image[i, : len(train)] = site.features[train]
        data.target[i, : len(train)] = site.age[train]
        data.mask[i, : len(train)] = 1
    noise = 1e-6 if epsilon is None else noise_multiplier_of(epsilon, DELTA, sums=ROUNDS + 1)
    task: Any = make_task(TABULAR["linear"](), LOSS)
    client = ClientChain(task, optax.sgd(RATE))
    server = ServerChain(weighted_mean(), optax.sgd(1.0), *BESIDE["mean"])
    algorithm = federated(client, server)
    algorithm = algorithm._replace(
        local=private_local(client, Sharing(), dp_fedsgd(noise, NORM, BOUND, DELTA))
    )
    data = jax.tree.map(jnp.asarray, data)
    variables = task.init(jax.random.key(0), jnp.zeros((1, width)))
    plan = Plan(ROUNDS, longest, np.ones(len(sites), int), len(sites), 0.0, ROUNDS)
    run = partial(simulate, evaluate=lambda server, own: ())
    ended = run(algorithm, variables, data, plan, jax.random.key(seed)).server
    errors, floors = [], []
    for site, train, test in zip(sites, trains, tests):
        batch = {"image": site.features[test], "target": site.age[test], "mask": np.ones(len(test))}
        predicted, _ = task.evaluate(ended.params, {}, batch)
        errors.append(float(np.abs(np.asarray(predicted) - site.age[test]).mean()))
        floors.append(float(np.abs(np.median(site.age[train]) - site.age[test]).mean()))
    return errors, floors


def real_sites(tree: Path) -> list[Site]:
    """Three hospitals of the people of a tree, of whom a fifth are public."""
    features, ages = regions_of(tree)
    order = np.random.default_rng(0).permutation(len(ages))
    public, private = order[: len(order) // 5], order[len(order) // 5 :]
    x = scaled(features[public], features[private])
    return [Site(x[k::3], ages[private][k::3]) for k in range(3)]


def synthetic_sites(people: list[int]) -> list[Site]:
    """Three synthetic hospitals, as features of a body that public people trained."""
    images, ages = synthetic_scans("amber", PUBLIC.value, seed=1001)
    module, variables = train_body(images, ages)
    body = partial(features_of, module, variables)
    public = body(images)
    hospitals = zip(("amber", "birch", "cedar"), people)
    scans = [synthetic_scans(name, n, seed=5) for name, n in hospitals]
    return [Site(scaled(public, body(x)), y) for x, y in scans]


def main(argv: list[str]) -> None:
    """Prints a row for each epsilon."""
    del argv
    if BIDS.value:
        sites, kind = real_sites(Path(BIDS.value)), "REAL"
    else:
        sites, kind = synthetic_sites([int(n) for n in PEOPLE.value]), "SYNTHETIC"
    sizes = ", ".join(str(len(site.age)) for site in sites)
    print(f"{kind}: hospitals of {sizes} people, {sites[0].features.shape[1]} features")
    print(f"{ROUNDS} rounds, delta {DELTA:g}; MAE in years, mean (range) over {SEEDS} seeds")
    for epsilon in EPSILONS:
        runs = [head(sites, seed, epsilon) for seed in range(SEEDS)]
        errors, floors = (np.asarray(x) for x in zip(*runs))
        cells = [
            f"{errors[:, k].mean():6.2f} ({errors[:, k].min():.2f}-{errors[:, k].max():.2f}),"
            f" floor {floors[:, k].mean():.2f}"
            for k in range(len(sites))
        ]
        name = "none" if epsilon is None else f"{epsilon:g}"
        print(f"epsilon {name:>4}: {' | '.join(cells)}", flush=True)


if __name__ == "__main__":
    app.run(main)
