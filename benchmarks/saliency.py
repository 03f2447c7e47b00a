"""Do saliency maps find the voxels that determine the label?

    python -m benchmarks.saliency [--seeds=3] [--workdir=runs/saliency]

Synthetic hospitals of the quickstart, brain age, federated. The region: the tenth of the brain
whose grey value changes most between 25 and 75 years in an average person. The number: the share of
the variance of predictions, between people of a hospital, that attributions (integrated gradients)
inside the region explain; without any overlap it is .10. Control: the same test people, trained on
somebody else's ages (permuted labels). Intervals: bootstrap 95 % over people; range: over seeds.
"""

import warnings
from pathlib import Path

import numpy as np
from absl import app, flags

from fedbrain import cli
from fedbrain.analysis.intervals import Group, by_person, over_people
from fedbrain.configs import quickstart
from fedbrain.data.synthetic.people import HOSPITALS
from fedbrain.data.synthetic.regions import brain_region, change_with_age
from fedbrain.experiments import experiment, saliency
from fedbrain.experiments.saved_models import load_models, read_identity
from fedbrain.experiments.split_id import SplitId

SEEDS = flags.DEFINE_integer("seeds", 3, "Of weights, order and test people.", lower_bound=1)
WORKDIR = flags.DEFINE_string("workdir", "runs/saliency", "Where the experiments are kept.")
REGION = 0.1  # of the brain


def trained(seed: int, permuted: bool) -> Path:
    """An experiment of the quickstart's hospitals."""
    config = quickstart.get_config()
    config.sites = {
        name: f"{spec[:-1]}, permuted={permuted})" for name, spec in config.sites.items()
    }
    config.regimes, config.seed, config.splits.first = ("federated",), seed, seed
    config.splits.stratify = "age"  # so that both have the same test people
    folder = Path(WORKDIR.value) / f"{'permuted' if permuted else 'true'}{seed}"
    if not (folder / "results.json").is_file():
        experiment.run(config, folder)
    return folder


def measure(workdir: Path) -> list[tuple[str, float, float]]:
    """(person, attribution inside the region, all attribution).

    Both attributions are minus the mean of the person's hospital.
    """
    saliency.run(workdir, workdir / "saliency", "federated", 40, 16, 4)
    experiment, _ = read_identity(workdir)
    sites, _ = saliency.scans_to_explain(experiment, SplitId(experiment.repeats[0]))
    brain = brain_region(experiment.recipe)
    [(_, variables)] = load_models(workdir)
    found = []
    for site, scans in sites.items():
        change = change_with_age(experiment.recipe, HOSPITALS[site].scanner)
        region = change >= np.quantile(change[brain], 1 - REGION)
        maps = list(saliency.explain(experiment, variables, scans, steps=16, size=28))
        pairs = np.asarray([[m.attribution[region].sum(), m.attribution.sum()] for m in maps])
        found += [(s, *pair) for s, pair in zip(scans.subjects, (pairs - pairs.mean(0)).tolist())]
    return found


def shares(found: list[tuple[str, float, float]]) -> np.ndarray:
    """[share of the variance, low and high end of its interval over people]."""
    pairs = np.asarray([[inside * whole, whole * whole] for _, inside, whole in found])
    people = [person for person, *_ in found]
    inside, whole = (by_person(column, people).sums for column in pairs.T)
    return np.asarray([inside.sum() / whole.sum(), *over_people([Group(inside, whole)])])


def main(argv: list[str]) -> None:
    """Trains, explains, compares."""
    del argv
    cli.configure_training()
    warnings.filterwarnings("ignore")
    both = {
        name: [measure(trained(s, name == "permuted ages")) for s in range(SEEDS.value)]
        for name in ("ages", "permuted ages")
    }
    print(
        f"SYNTHETIC data. Variance of predictions from the {REGION:.0%} of the brain that changes"
        " most with age, share:"
    )
    for name, seeds in both.items():
        told = shares(
            [(f"{k}/{person}", a, b) for k, found in enumerate(seeds) for person, a, b in found]
        )
        each = [shares(found)[0] for found in seeds]
        (low, high), spread = told[1:], f"seeds {min(each):+.2f} to {max(each):+.2f}"
        print(f"  trained on {name:14s} {told[0]:+.2f} (95 % {low:+.2f} to {high:+.2f}; {spread})")


if __name__ == "__main__":
    app.run(main)
