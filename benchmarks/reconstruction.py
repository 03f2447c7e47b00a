"""What a server that lies reads out of one update: voxels and ages, with and without defences.

    python -m benchmarks.reconstruction [--people=25] [--cohorts=4] [--rows=64]

The attack sends a model whose first layer sorts people by the brightness of their image: row j is
on for everybody brighter than its threshold. The gradients of neighbouring rows differ by those
between the two thresholds, and where that is one person, the difference is the image times a number
and the number tells the age. Updates are those of fedbrain's own clients (`federated`,
`private_local`), on SYNTHETIC volumes at 12 mm. For every person the nearest of all that is read
counts, which is more than an attacker can know. Floors: the mean image and the median age of 200
other people. Intervals: bootstrap 95 % over people.

References:
  Fowl et al. (2022), Robbing the Fed, https://arxiv.org/abs/2110.13057
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags
from scipy import stats

from fedbrain.aggregators import BESIDE, weighted_mean
from fedbrain.algorithms import ClientChain, ServerChain, Sharing, federated
from fedbrain.algorithms.private import Mechanism, dp_fedsgd, private_local
from fedbrain.analysis.gaussian_privacy import noise_multiplier_of
from fedbrain.data.dataset import Preparation
from fedbrain.data.recipes import RECIPES
from fedbrain.data.synthetic.site import synthetic
from fedbrain.experiments.spec import call
from fedbrain.models.losses import l2
from fedbrain.models.tabular import mlp
from fedbrain.models.task import make_task
from fedbrain.training import local_steps

PEOPLE = flags.DEFINE_integer("people", 25, "Training people of a site.")
COHORTS = flags.DEFINE_integer("cohorts", 4, "Sites that are attacked, one after the other.")
ROWS = flags.DEFINE_integer("rows", 64, "Thresholds of the first layer.")
RECIPE = "conform(voxel_size_mm=12.0, shape=(16, 18, 16), mask='nonzero')"
PUBLIC, SITES, ROUNDS, DELTA = 200, 3, 40, 1e-5
HOSPITALS = ("amber", "birch", "cedar")  # three scanners
CENTRE, SCALE, RATE, WEIGHT = 50.0, 15.0, 1e-3, 0.05
TINY = 1e-5  # a spread that is rounding
RECOGNISED = 0.99  # a correlation from which an image counts as that person's


class People(NamedTuple):
    """Of a site."""

    images: np.ndarray  # [people, p]
    ages: np.ndarray  # [people], years


def cohort(seed: int, people: int, cache: Path) -> People:
    """Synthetic people, each voxel of a prepared volume a number."""
    preparation = Preparation(call(RECIPE, RECIPES), cache)
    scans, _ = synthetic(HOSPITALS[seed % SITES], people, seed)("x", preparation)
    images = np.stack([np.asarray(volume).ravel() for volume in scans.volumes])
    return People(images.astype(np.float32), np.asarray(scans.target, np.float32))


def trap(public: People, rows: int) -> dict[str, Any]:
    """The model: row j is on for images brighter than the j-th quantile of the public ones."""
    p = public.images.shape[1]
    edges = np.quantile(public.images.mean(1), np.linspace(0, 1, rows + 1)[:-1])
    edges[0] = 2 * edges[0] - edges[-1]  # on for everybody
    hidden = {"kernel": jnp.full((p, rows), 1 / p), "bias": jnp.asarray(-edges, jnp.float32)}
    head = {"kernel": jnp.full((rows, 1), WEIGHT), "bias": jnp.zeros(1)}
    return {"params": {"hidden0": hidden, "head": head}}


def network(model: dict[str, Any]) -> Any:
    """A perceptron with the rows of the model."""
    return mlp((model["params"]["hidden0"]["bias"].size,))


def update_of(
    model: dict[str, Any], people: People, *, batch: int, mechanism: Mechanism | None
) -> dict[str, Any]:
    """The delta that fedbrain's client sends after one epoch."""
    task: Any = make_task(network(model), l2(CENTRE, SCALE))
    client = ClientChain(task, optax.sgd(RATE))
    algorithm = federated(client, ServerChain(weighted_mean(), optax.sgd(1.0), *BESIDE["mean"]))
    if mechanism is not None:
        algorithm = algorithm._replace(local=private_local(client, Sharing(), mechanism))
    server = algorithm.init(model, jnp.ones(1))
    own = algorithm.init_client(model)
    batches = []
    for first in range(0, len(people.ages), batch):
        some = slice(first, first + batch)
        image, target = people.images[some], people.ages[some]
        batch_of = {"image": image, "target": target, "mask": np.ones(len(target), np.float32)}
        batches.append(jax.tree.map(jnp.asarray, batch_of))
    key = jax.random.key(len(people.ages))
    progress = local_steps.begin(algorithm.local, server, own, key, batches[0])
    for each in batches:
        progress = local_steps.guard(algorithm.local.step)(progress, each)
    count = jnp.asarray(float(len(people.ages)))
    update, _ = local_steps.end(algorithm.local, server, own, progress, count)
    _, back = jax.flatten_util.ravel_pytree(model["params"])
    return back(update.delta)


def read(delta: dict[str, Any]) -> People:
    """What the server reads: an image for every pair of neighbouring rows, and the error of its
    age, divided by the people of a step.
    """
    kernel, bias = (np.asarray(delta["hidden0"][name], np.float64) for name in ("kernel", "bias"))
    kernel = np.diff(np.concatenate([kernel, 0 * kernel[:, :1]], 1), axis=1)
    bias = np.diff(np.concatenate([bias, [0.0]]))
    usable = np.abs(bias) > 1e-12 * np.abs(bias).max()
    images = (kernel[:, usable] / bias[usable]).T
    errors = bias[usable] / (RATE * WEIGHT * SCALE)  # predicted - true, over people of a step
    return People(images, errors)


class Score(NamedTuple):
    """Of one person."""

    error: float  # relative, of the nearest image
    correlation: float
    years: float  # that the age of that image is off


def predicted(model: dict[str, Any], image: np.ndarray) -> float:
    """What the trap predicts, which the server knows."""
    return CENTRE + SCALE * float(
        network(model).apply(model, jnp.asarray(image[None], jnp.float32))[0, 0]
    )


def score(
    model: dict[str, Any], people: People, found: People, count: float, floor: float
) -> list[Score]:
    """How near the attack comes to every person."""
    scores = []
    for image, age in zip(people.images.astype(np.float64), people.ages):
        distance = np.linalg.norm(found.images - image, axis=1) / np.linalg.norm(image)
        k = int(np.argmin(distance))
        correlation = float(np.corrcoef(found.images[k], image)[0, 1])
        told = floor
        if np.isfinite(found.ages[k]):
            told = np.clip(predicted(model, found.images[k]) - found.ages[k] * count, 0, 120)
        scores.append(Score(float(distance[k]), correlation, abs(float(told) - float(age))))
    return scores


def interval(values: np.ndarray, form: str) -> str:
    """A mean with its bootstrap interval."""
    if np.ptp(values) < TINY:
        return f"{values[0]:{form}}"
    ends = stats.bootstrap((values,), np.mean, n_resamples=2000, rng=0).confidence_interval
    return f"{values.mean():{form}} ({ends.low:{form}}-{ends.high:{form}})"


def show(name: str, scores: list[Score]) -> str:
    """A line of the table."""
    error, correlation, years = (np.asarray(column) for column in zip(*scores))
    share = np.mean(correlation > RECOGNISED)
    cells = [interval(error, ".2f"), interval(correlation, ".2f"), interval(years, ".1f")]
    return f"| {name} | {cells[0]} | {cells[1]} | {share:.0%} | {cells[2]} |"


def mean_of(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """All that the server sees under masks, for sites of one size."""
    return jax.tree.map(lambda *x: sum(x) / len(x), *deltas)


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    cache, people = Path(tempfile.mkdtemp()), PEOPLE.value
    public = cohort(1000, PUBLIC, cache)
    model, median = trap(public, ROWS.value), float(np.median(public.ages))
    mean_image = People(public.images.mean(0, keepdims=True), np.asarray([np.nan]))
    sites = [cohort(seed, people, cache) for seed in range(COHORTS.value * SITES)]
    attacked = sites[::SITES]
    rows: dict[str, list[Score]] = {"the floor: what 200 others tell": []}
    for site in attacked:
        rows["the floor: what 200 others tell"] += score(model, site, mean_image, 1, median)

    def attack(name: str, site: People, delta: dict[str, Any], count: int) -> None:
        rows.setdefault(name, []).extend(score(model, site, read(delta), count, median))

    for k, site in enumerate(attacked):
        one = People(site.images[:1], site.ages[:1])
        attack("one person, one step", one, update_of(model, one, batch=1, mechanism=None), 1)
        for batch in (people, 8):
            name = f"{people} people, {-(-people // batch)} step(s) of {batch}"
            attack(name, site, update_of(model, site, batch=batch, mechanism=None), batch)
        group = sites[SITES * k : SITES * (k + 1)]
        deltas = [update_of(model, s, batch=people, mechanism=None) for s in group]
        name = f"masked sum of {SITES} sites of {people}"
        attack(name, site, mean_of(deltas), SITES * people)
        for epsilon in (8.0, 3.0, 1.0):
            noise = noise_multiplier_of(epsilon, DELTA, sums=ROUNDS + 1)
            private = dp_fedsgd(noise, clip_norm=1.0, loss_bound=30.0, delta_dp=DELTA)
            delta = update_of(model, site, batch=people, mechanism=private)
            attack(f"{people} people, dp_fedsgd, epsilon {epsilon:g}", site, delta, people)
    print("SYNTHETIC people; one update, read by a server that lies.")
    print(f"| | voxel error | correlation | above {RECOGNISED} | age, years off |")
    print("| --- | --- | --- | --- | --- |")
    for name, scores in rows.items():
        print(show(name, scores))


if __name__ == "__main__":
    app.run(main)
