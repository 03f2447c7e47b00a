"""Do saliency maps find what made the label? python -m benchmarks.saliency [--seeds=3] [--workdir=runs/saliency].

Synthetic hospitals of the quickstart, brain age, federated. For every test person: the area under the ROC curve of the map
against the region where ageing turns tissue to fluid, inside the brain; .5 is chance. Control: the same people, trained on
somebody else's ages (permuted labels), the same region. Intervals: bootstrap 95 % over people; range: over seeds.
"""

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from absl import app, flags
from scipy import stats

from configs import quickstart
from fedbrain import conduct, saliency, startup
from fedbrain.data.synthetic.regions import ageing_region, brain_region
from fedbrain.report.statistics import cluster_means, interval
from fedbrain.trained import load_models, read_identity

SEEDS = flags.DEFINE_integer("seeds", 3, "Of weights, order and test people.", lower_bound=1)
WORKDIR = flags.DEFINE_string("workdir", "runs/saliency", "Where the experiments are kept.")
METHODS = ("integrated_gradients", "occlusion")


def area_under_curve(score: np.ndarray, inside: np.ndarray) -> float:
    """P(score inside > score outside): the Mann-Whitney statistic."""
    ranks = stats.rankdata(score)
    n = int(inside.sum())
    return float((ranks[inside].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))


def trained(seed: int, permuted: bool) -> Path:
    """An experiment of the quickstart's hospitals."""
    config = quickstart.get_config()
    config.sites = {name: f"{spec[:-1]}, permuted={permuted})" for name, spec in config.sites.items()}
    config.regimes, config.seed, config.splits.first = ("federated",), seed, seed
    config.splits.stratify = "age"  # so that both have the same test people
    folder = Path(WORKDIR.value) / f"{'permuted' if permuted else 'true'}{seed}"
    if not (folder / "results.json").is_file():
        conduct.run(config, folder)
    return folder


def measure(workdir: Path) -> dict[str, dict[str, float]]:
    """Person -> method -> area under the curve; also the montage of the sites' mean maps."""
    saliency.run(workdir, workdir / "saliency", "federated", 40, 16, 4)
    experiment, _ = read_identity(workdir)
    sites, _ = saliency.scans_to_explain(experiment, experiment.repeats[0])
    brain, ageing = brain_region(experiment.recipe), ageing_region(experiment.recipe)
    [(_, variables)] = load_models(workdir)
    found = {}
    for scans in sites.values():
        for subject, maps in zip(scans.subjects, saliency.explain(experiment, variables, scans, steps=16, size=4)):
            found[subject] = {m: area_under_curve(getattr(maps, m)[brain], ageing[brain]) for m in METHODS}
    print(f"{workdir}: {ageing.sum()} of {brain.sum()} voxels of the brain belong to the region")
    return found


def main(argv: list[str]) -> None:
    """Trains, explains, compares."""
    del argv
    startup.configure_training()
    warnings.filterwarnings("ignore")
    both = [(measure(trained(s, False)), measure(trained(s, True))) for s in range(SEEDS.value)]
    print("SYNTHETIC data. Area under the ROC curve against the region where ageing turns tissue to fluid:")
    for method in METHODS:
        people = [person for true, _ in both for person in true]
        pairs = np.asarray([[true[p][method], control[p][method]] for true, control in both for p in true])
        values = np.concatenate([pairs, pairs[:, :1] - pairs[:, 1:]], 1)
        draws = cluster_means(values, people)
        for k, name in enumerate(("trained on ages", "trained on permuted ages", "difference")):
            low, high = interval(draws[:, k])
            lengths = np.cumsum([0, *(len(true) for true, _ in both)])
            each = [values[a:b, k].mean() for a, b in pairwise(lengths)]
            seeds = f"seeds {min(each):.3f} to {max(each):.3f}"
            print(f"  {method:22s} {name:26s} {values[:, k].mean():+.3f} (95 % {low:+.3f} to {high:+.3f}; {seeds})")


if __name__ == "__main__":
    app.run(main)
