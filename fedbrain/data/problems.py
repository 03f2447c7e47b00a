"""Small problems for studies of algorithms, which train in seconds.

A problem is a function of a seed; the seed draws the split into training and test examples. It
returns features and targets of every client. Features of real data are standardised by sums over
all training examples, as a federation can. `data.validation` makes a validation part of the
training examples.
"""

import csv
import re
from pathlib import Path

import numpy as np

from fedbrain.data import combat
from fedbrain.data.problem import (
    ClientData,
    Draw,
    Examples,
    Finish,
    Problem,
    split,
    standardise,
    unchanged,
)


def _sklearn(name: str):
    try:
        import sklearn.datasets
    except ImportError:
        raise ValueError(
            "This problem needs scikit-learn: in a clone of fedbrain, pip install -e '.[study]'."
        ) from None
    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    return x.astype(np.float32), y.astype(np.float32)


def region_volumes(volumes: str, demographics: str, test: float = 0.2) -> Draw:
    """Age from region volumes of three real hospitals (IXI: Guys, HH, IOP).

    Volumes are divided by the first one, the whole.

    Args:
      volumes: a CSV file, column `ID` (`IXI013-HH-1212-T1`), then volumes in mm^3, the first one
        the whole.
      demographics: a CSV file with columns `ID` and `Age` in years.
      test: share of each hospital's people that are tested.
    """

    return _hospitals(volumes, demographics, test, standardise)


def harmonised_volumes(volumes: str, demographics: str, test: float = 0.2) -> Draw:
    """`region_volumes` without the shifts of hospitals, by ComBat fitted on training people. What
    age explains is kept; no age of a person in the test is used.

    Args:
      volumes: see `region_volumes`.
      demographics: likewise.
      test: likewise.
    """

    def harmonise(clients: dict[str, ClientData]) -> dict[str, ClientData]:
        train = {n: (c.train[1][:, None].astype(float), c.train[0]) for n, c in clients.items()}
        fitted = combat.fit(train, spread=False)

        def correct(name: str, examples: Examples) -> Examples:
            x, y = examples
            return combat.apply(fitted, name, y[:, None].astype(float), x), y

        return standardise(
            {n: ClientData(correct(n, c.train), correct(n, c.test)) for n, c in clients.items()}
        )

    return _hospitals(volumes, demographics, test, harmonise)


def _hospitals(volumes: str, demographics: str, test: float, finish: Finish) -> Draw:
    """Splits the people of each hospital; `finish` makes their features comparable."""

    def draw(seed: int) -> Problem:
        files = [Path(path).expanduser() for path in (volumes, demographics)]
        for path in files:
            if not path.is_file():
                raise ValueError(
                    f"'{path}': expected a CSV file of region volumes or ages, got no file. "
                    "Set config.problem."
                )
        with files[1].open(newline="") as file:
            age = {row["ID"]: float(row["Age"]) for row in csv.DictReader(file)}
        with files[0].open(newline="") as file:
            rows = list(csv.reader(file))[1:]
        missing = [row[0] for row in rows if row[0] not in age]
        if missing:
            raise ValueError(
                f"{demographics}: expected an age of everybody in {volumes}, got none of"
                f" {missing[:3]}."
            )
        matches = [re.search(r"-(\w+)-\d+", row[0]) for row in rows]
        if not all(matches):
            raise ValueError(
                f"{volumes}: expected ids like 'IXI013-HH-1212-T1', got"
                f" {rows[matches.index(None)][0]!r}."
            )
        x = np.asarray([row[1:] for row in rows], np.float64)
        x[:, 1:] /= x[:, :1]
        y = np.asarray([age[row[0]] for row in rows], np.float32)
        site_of_row = np.asarray([match[1] for match in matches if match])
        rng = np.random.default_rng([seed, 0x51])
        clients = {}
        for site in np.unique(site_of_row):
            here = site_of_row == site
            clients[str(site)] = split(x[here], y[here], test, rng)
        return Problem(finish(clients), "years", False, clients, finish)

    return draw


def digits(
    clients: int = 25, attackers: int = 0, similarity: float = 0.0, test: float = 0.2
) -> Draw:
    """Hand-written digits (1,797 of 8 x 8), sorted by class and dealt out to clients.

    So almost every client has one or two digits. All clients share one test set.

    Args:
      clients: number of clients.
      attackers: how many of them attack, the last ones; they get copies of random examples, so that
        no example is lost with them.
      similarity: share of examples that is dealt out at random before the rest is sorted.
      test: share of all examples.
    """

    return _dealt(clients, attackers, similarity, test, 1.0, standardise)


def digits_in_range(clients: int = 25, similarity: float = 0.0, test: float = 0.2) -> Draw:
    """`digits` with pixels from 0 to 1: they are divided by 16, the most that one can be.

    Nothing of a client is in the features of another, as private rules need it.

    Args:
      clients: number of clients.
      similarity: see `digits`.
      test: likewise.
    """
    return _dealt(clients, 0, similarity, test, 16.0, unchanged)


def _dealt(
    clients: int, attackers: int, similarity: float, test: float, unit: float, finish: Finish
) -> Draw:
    """Digits in units of so many grey values; `finish` makes them comparable."""

    def draw(seed: int) -> Problem:
        x, y = _sklearn("digits")
        x = x / np.float32(unit)
        rng = np.random.default_rng([seed, 0xD1])
        (x, y), test_set = split(x, y, test, rng)
        mixed = round(similarity * len(y))
        by_class = np.argsort(y[mixed:], kind="stable") + mixed
        honest = clients - attackers
        mixed_parts = np.array_split(np.arange(mixed), honest)
        class_parts = np.array_split(by_class, honest)
        parts = [np.concatenate(pair) for pair in zip(mixed_parts, class_parts)]
        parts += [rng.choice(len(y), len(y) // honest, replace=False) for _ in range(attackers)]
        data = {f"c{i:03d}": ClientData((x[k], y[k]), test_set) for i, k in enumerate(parts)}
        return Problem(finish(data), "accuracy", False, data, finish, attackers, one_test=True)

    return draw


def breast_cancer(clients: int = 4, test: float = 0.2) -> Draw:
    """Malignant or benign from 30 features (569 women), at hospitals of unequal size and tumours.

    Args:
      clients: number of hospitals; their sizes are 1, 2, 3, ... parts, tumour radius grows.
      test: share of each hospital's women that are tested.
    """

    def draw(seed: int) -> Problem:
        x, y = _sklearn("breast_cancer")
        rng = np.random.default_rng([seed, 0xBC])
        order = np.argsort(x[:, 0] + rng.normal(0, x[:, 0].std(), len(y)))
        ends = np.cumsum(np.arange(clients, 0, -1)) * len(y) // (clients * (clients + 1) // 2)
        parts = np.split(order, ends[:-1])
        data = {f"c{i}": split(x[k], y[k], test, rng) for i, k in enumerate(parts)}
        return Problem(standardise(data), "accuracy", False, data, standardise)

    return draw


def synthetic(
    alpha: float = 0.5, beta: float = 0.5, clients: int = 100, generator: int = 0
) -> Draw:
    """Synthetic(alpha, beta) of pFedMe: 60 features, 10 classes, 90 % for training.

    Every client has a labelling model and a distribution of inputs of its own.

    Args:
      alpha: spread of the clients' labelling models.
      beta: spread of the clients' inputs.
      clients: number of clients.
      generator: seed of the data; 0 gives the 205,795 examples of the paper. The split has the seed
        of the run.

    References:
      Dinh et al. (2020), https://arxiv.org/abs/2006.08848
    """

    def draw(seed: int) -> Problem:
        rng = np.random.RandomState(generator)
        sizes = (rng.lognormal(4, 2, clients).astype(int) + 50) * 5
        labelling = rng.normal(0, alpha, clients)
        centres = rng.normal(0, beta, clients)
        means = [rng.normal(centre, 1, 60) for centre in centres]
        covariance = np.diag(np.arange(1, 61) ** -1.2)
        split_rng = np.random.default_rng([seed, 0x5E])
        data = {}
        for i, (n, u, mean) in enumerate(zip(sizes, labelling, means)):
            w = rng.normal(u, 1, (60, 10))
            b = rng.normal(u, 1, 10)
            x = rng.multivariate_normal(mean, covariance, n)
            y = np.argmax(x @ w + b, axis=1).astype(np.float32)
            x = x.astype(np.float32)
            train, test = np.split(split_rng.permutation(n), [int(0.9 * n)])
            data[f"c{i:03d}"] = ClientData((x[train], y[train]), (x[test], y[test]))
        return Problem(data, "accuracy", True, data, unchanged)

    return draw


PROBLEMS = {
    "region_volumes": region_volumes,
    "harmonised_volumes": harmonised_volumes,
    "digits": digits,
    "digits_in_range": digits_in_range,
    "breast_cancer": breast_cancer,
    "synthetic": synthetic,
}
