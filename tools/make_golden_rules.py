"""Writes outputs of other libraries on random cohorts.

For tests/aggregators/test_golden_rules.py. In an environment of its own:

pip install torch==2.13.0 scipy flwr==1.41.0 declearn==2.9.1 && pip install --no-deps byzfl==0.0.11
python -m tools.make_golden_rules 40 tests/golden/rules.npz          what the tests use
python -m tools.make_golden_rules 1000 /tmp/rules.npz                then: python -m
tests.aggregators.test_golden_rules /tmp/rules.npz
"""

import importlib.machinery
import sys
from unittest.mock import MagicMock

import numpy as np

from tests.cohorts import draw


def import_byzfl():
    """byzfl asks for plotting and vision packages that its rules do not use."""
    for name in (
        "torchvision",
        "torchvision.transforms",
        "torchvision.datasets",
        "torchvision.models",
        "seaborn",
        "matplotlib",
        "matplotlib.pyplot",
        "pandas",
    ):
        stub = MagicMock()
        stub.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules.setdefault(name, stub)
    import byzfl

    return byzfl


def byzfl_rules() -> dict:
    """Rules of byzfl on x [clients, coordinates]."""
    b = import_byzfl()
    return {
        "uniform_mean()": b.Average(),
        "median()": b.Median(),
        "trimmed_mean(2)": b.TrMean(2),
        "mean_around_median(2)": b.Meamed(2),
        "krum(2, excluded=1)": b.Krum(2),
        "multi_krum(2, excluded=1)": b.MultiKrum(2),
        "geometric_median(3, 0.1, 0.0)": b.GeometricMedian(nu=0.1, T=3),
        "minimum_diameter(2)": b.MDA(2),
        # it has a memory
        "centred_clipping(2.0, 3)": lambda x: b.CenteredClipping(m=None, L=3, tau=2.0)(x),
        "nearest_neighbour_mixing(2)": b.NNM(2),
        "clip_by_client_norm(3.0)": b.Clipping(3.0),
        "adaptive_robust_clipping(2)": b.ARC(2),
        "krum(2)": b.Krum(2),
    }


def flower_rules() -> dict:
    """Rules of Flower (legacy functions) on results [(arrays, examples)]."""
    from flwr.server.strategy import aggregate as a

    def results(x, n):
        return [([row.copy()], int(k)) for row, k in zip(x, n)]

    return {
        "weighted_mean()": lambda x, n: a.aggregate(results(x, n))[0],
        "flwr median()": lambda x, n: a.aggregate_median(results(x, n))[0],
        "flwr trimmed_mean(2)": lambda x, n: a.aggregate_trimmed_avg(
            results(x, n), 2 / len(x) + 1e-9
        )[0],
        "flwr krum(2)": lambda x, n: a.aggregate_krum(results(x, n), 2, 0)[0],
        "flwr bulyan(1)": lambda x, n: a.aggregate_bulyan(
            results(x, n), 1, a.aggregate_krum, to_keep=0
        )[0],
        "flwr bulyan(1), reversed": lambda x, n: a.aggregate_bulyan(
            results(x[::-1], n[::-1]), 1, a.aggregate_krum, to_keep=0
        )[0],
        "flwr krum(2) on float32 weights": krum_on_weights,
    }


def krum_on_weights(x, n):
    """The client that Flower's new Krum prefers, one-hot [clients].

    Deltas of 1e-3 x are added to weights of 100.
    """
    del n
    from flwr.app import ArrayRecord
    from flwr.serverapp.strategy.multikrum import compute_distances

    base = 100 * np.sin(np.arange(1000))
    weights = [(base + 1e-3 * np.resize(row, 1000)).astype(np.float32) for row in x]
    distances = compute_distances([ArrayRecord([w]) for w in weights])
    scores = np.sort(distances, axis=1)[:, 1 : len(x) - 3].sum(1)
    return np.eye(len(x))[np.argmin(scores)]


def declearn_gma(x, n):
    """Gradient-masked averaging of declearn, weighted by examples."""
    from declearn.aggregator import GradientMaskedAveraging
    from declearn.model.sklearn import NumpyVector

    rule = GradientMaskedAveraging(threshold=0.7, steps_weighted=True)
    updates = [
        rule.prepare_for_sharing(NumpyVector({"w": row.copy()}), int(k)) for row, k in zip(x, n)
    ]
    return rule.finalize_updates(sum(updates[1:], updates[0])).coefs["w"]


def main(count: int, out: str) -> None:
    """Writes one array [cohorts, ...] per rule."""
    rules = {
        f"byzfl {k}": lambda x, n, f=f: np.asarray(f(x.copy())) for k, f in byzfl_rules().items()
    }
    rules |= {k if k.startswith("flwr") else f"flwr {k}": f for k, f in flower_rules().items()}
    rules["declearn gradient_masked_mean(0.7)"] = declearn_gma
    made = {}
    for name, rule in rules.items():
        made[name] = np.stack([np.asarray(rule(*draw(seed)), np.float64) for seed in range(count)])
        print(name, made[name].shape)
    np.savez_compressed(out, **made)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
