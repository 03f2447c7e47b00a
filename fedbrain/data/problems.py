"""Federations that train in seconds, for studies of algorithms: real tables, and one published
synthetic problem.

A problem is a function of a seed, which draws the split into training and test examples, that
returns features and targets of every client. Features are float32, standardised where noted by sums
over all training examples, as a federation can.
"""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

Examples = tuple[np.ndarray, np.ndarray]  # (features [n, p] float32, targets [n] float32)


class ClientData(NamedTuple):
    """One client's examples."""

    train: Examples
    test: Examples


class Problem(NamedTuple):
    """A federation."""

    clients: dict[str, ClientData]
    unit: str  # of the error: years, or accuracy for classes
    synthetic: bool


Draw = Callable[[int], Problem]


def _sklearn(name: str):
    try:
        import sklearn.datasets
    except ImportError:
        raise ValueError(
            "This problem comes with scikit-learn: pip install 'fedbrain[study]'."
        ) from None
    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    return x.astype(np.float32), y.astype(np.float32)


def _split(x: np.ndarray, y: np.ndarray, share: float, rng: np.random.Generator) -> ClientData:
    order = rng.permutation(len(y))
    test = max(1, round(share * len(y)))
    return ClientData((x[order[test:]], y[order[test:]]), (x[order[:test]], y[order[:test]]))


def _standardise(clients: dict[str, ClientData]) -> dict[str, ClientData]:
    """Zero mean and unit variance over the training examples of all clients."""
    n = sum(len(c.train[1]) for c in clients.values())
    mean = sum(c.train[0].sum(0, dtype=np.float64) for c in clients.values()) / n
    square = sum((c.train[0].astype(np.float64) ** 2).sum(0) for c in clients.values()) / n
    sd = np.sqrt(np.maximum(square - mean**2, 0)) + 1e-9

    def scale(examples: Examples) -> Examples:
        return ((examples[0] - mean) / sd).astype(np.float32), examples[1]

    return {name: ClientData(scale(c.train), scale(c.test)) for name, c in clients.items()}


def region_volumes(volumes: str, demographics: str, test: float = 0.2) -> Draw:
    """Age from region volumes of three real hospitals (IXI: Guys, HH, IOP), volumes as shares of
    the first column.

    Args:
      volumes: a CSV file, column `ID` (`IXI013-HH-1212-T1`), then volumes in mm^3, the first one
        the whole.
      demographics: a CSV file with columns `ID` and `Age` in years.
      test: share of each hospital's people that are tested.
    """

    def draw(seed: int) -> Problem:
        for path in (volumes, demographics):
            if not Path(path).is_file():
                raise ValueError(
                    f"{path!r}: expected a CSV file of region volumes or ages, got no file. Set"
                    " config.problem."
                )
        with open(demographics, newline="") as file:
            age = {row["ID"]: float(row["Age"]) for row in csv.DictReader(file)}
        with open(volumes, newline="") as file:
            rows = [row for row in csv.reader(file)][1:]
        missing = [row[0] for row in rows if row[0] not in age]
        if missing:
            raise ValueError(
                f"{demographics}: expected an age of everybody in {volumes}, got none of"
                f" {missing[:3]}."
            )
        site = [re.search(r"-(\w+)-\d+", row[0]) for row in rows]
        if not all(site):
            raise ValueError(
                f"{volumes}: expected ids like 'IXI013-HH-1212-T1', got"
                f" {rows[site.index(None)][0]!r}."
            )
        x = np.asarray([row[1:] for row in rows], np.float64)
        x[:, 1:] /= x[:, :1]
        y = np.asarray([age[row[0]] for row in rows], np.float32)
        sites = np.asarray([m[1] for m in site if m])
        rng = np.random.default_rng([seed, 0x51])
        clients = {
            str(s): _split(x[sites == s], y[sites == s], test, rng) for s in np.unique(sites)
        }
        return Problem(_standardise(clients), "years", synthetic=False)

    return draw


def digits(
    clients: int = 25, attackers: int = 0, similarity: float = 0.0, test: float = 0.2
) -> Draw:
    """Hand-written digits (1,797 of 8 x 8), sorted by class and dealt out: almost every client
    knows one or two digits.

    Everybody is tested on the same test set.

    Args:
      clients: of the federation.
      attackers: the last of them, who get a random sample instead of a part: what they know nobody
        misses.
      similarity: share of examples that is dealt out at random before the rest is sorted.
      test: share of all examples.
    """

    def draw(seed: int) -> Problem:
        x, y = _sklearn("digits")
        rng = np.random.default_rng([seed, 0xD1])
        whole = _split(x, y, test, rng)
        x, y = whole.train
        same = round(similarity * len(y))
        order = np.argsort(y[same:], kind="stable") + same
        honest = clients - attackers
        mine = [
            np.concatenate(p)
            for p in zip(np.array_split(np.arange(same), honest), np.array_split(order, honest))
        ]
        mine += [rng.choice(len(y), len(y) // honest, replace=False) for _ in range(attackers)]
        made = {f"c{i:03d}": ClientData((x[k], y[k]), whole.test) for i, k in enumerate(mine)}
        return Problem(_standardise(made), "accuracy", synthetic=False)

    return draw


def breast_cancer(clients: int = 4, test: float = 0.2) -> Draw:
    """Malignant or benign from 30 features (569 women), hospitals of unequal size that see tumours
    of unequal radius.
    """

    def draw(seed: int) -> Problem:
        x, y = _sklearn("breast_cancer")
        rng = np.random.default_rng([seed, 0xBC])
        order = np.argsort(x[:, 0] + rng.normal(0, x[:, 0].std(), len(y)))
        ends = np.cumsum(np.arange(clients, 0, -1)) * len(y) // (clients * (clients + 1) // 2)
        parts = np.split(order, ends[:-1])
        made = {f"c{i}": _split(x[k], y[k], test, rng) for i, k in enumerate(parts)}
        return Problem(_standardise(made), "accuracy", synthetic=False)

    return draw


def synthetic(
    alpha: float = 0.5, beta: float = 0.5, clients: int = 100, generator: int = 0
) -> Draw:
    """Synthetic(alpha, beta) of pFedMe: 60 features, 10 classes, own labelling and own inputs per
    client, 90 % for training.

    Args:
      alpha: spread of the clients' labelling models.
      beta: spread of the clients' inputs.
      clients: of the federation.
      generator: seed of the data; 0 gives the 205,795 examples of the paper. The split has the seed
        of the run.

    References:
      Dinh et al. (2020), https://arxiv.org/abs/2006.08848
    """

    def draw(seed: int) -> Problem:
        rng = np.random.RandomState(generator)
        sizes = (rng.lognormal(4, 2, clients).astype(int) + 50) * 5
        labelling, centre = rng.normal(0, alpha, clients), rng.normal(0, beta, clients)
        means = [rng.normal(b, 1, 60) for b in centre]
        covariance = np.diag(np.arange(1, 61) ** -1.2)
        split = np.random.default_rng([seed, 0x5E])
        made = {}
        for i, (n, u, mean) in enumerate(zip(sizes, labelling, means)):
            w, b = rng.normal(u, 1, (60, 10)), rng.normal(u, 1, 10)
            x = rng.multivariate_normal(mean, covariance, n)
            y = np.argmax(x @ w + b, axis=1)
            order = split.permutation(n)
            a, z = order[: int(0.9 * n)], order[int(0.9 * n) :]
            x, y = x.astype(np.float32), y.astype(np.float32)
            made[f"c{i:03d}"] = ClientData((x[a], y[a]), (x[z], y[z]))
        return Problem(made, "accuracy", synthetic=True)

    return draw


PROBLEMS = {
    "region_volumes": region_volumes,
    "digits": digits,
    "breast_cancer": breast_cancer,
    "synthetic": synthetic,
}
