"""Takes the effects of sites out of tables of features, and tests whether features tell the site.

Everything is fitted on training people: ComBat as well as the classifier of sites. People are cut
as an experiment cuts them whose target is the first covariate.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from fedbrain.analysis.cells import align
from fedbrain.analysis.classification import pooled_accuracy, pooled_difference
from fedbrain.analysis.columns import CLASSES
from fedbrain.analysis.intervals import span
from fedbrain.analysis.predictions import Predictions, concatenate, take
from fedbrain.analysis.site_probe import probabilities
from fedbrain.data import combat
from fedbrain.data.feature_tables import Table, read_sites, require_enough, write_features
from fedbrain.data.splits import pick
from fedbrain.experiments.workdir import write_json

FOLDS = 5  # of the test whether features tell the site: everybody is tested once
Sites = Mapping[str, Table]
Trains = Mapping[str, Bool[np.ndarray, " n"]]  # site -> who trains
Values = dict[str, np.ndarray]  # site -> [n p]


class Choice(NamedTuple):
    """How tables are harmonised."""

    covariates: tuple[str, ...]
    features: tuple[str, ...]  # empty: all columns
    spread: bool  # whether sites change the spread too
    test: float  # share of people that nothing is fitted on
    seed: int


def training_people(sites: Sites, share: float, *, seed: int, turn: int = 0) -> dict[str, Any]:
    """Who trains at each site.

    Args:
      sites: their tables.
      share: of people that do not.
      seed: of the choice.
      turn: of a cross-validation.
    """
    return {
        name: ~pick(
            table.subjects,
            table.covariates[:, 0] if table.covariates.size else np.zeros(len(table.subjects)),
            share,
            seed=f"test/{seed}",
            turn=turn,
        )
        for name, table in sites.items()
    }


def fit(sites: Sites, train: Trains, names: Sequence[str], *, spread: bool) -> combat.Combat:
    """ComBat on training people.

    Args:
      sites: their tables.
      train: who trains.
      names: of features.
      spread: whether sites change the spread too.

    Raises:
      ValueError: one sentence that names the file and the column.
    """
    for name, table in sites.items():
        require_enough(name, table, train[name], names)
    chosen = {n: (t.covariates[train[n]], t.features[train[n]]) for n, t in sites.items()}
    try:
        return combat.fit(chosen, spread=spread)
    except combat.FollowsError as error:
        raise ValueError(
            f"{sites[error.site].path}: expected features that do not follow from the covariates,"
            f" got {names[error.feature]!r}, which does. Leave it out."
        ) from None


def corrected(fitted: combat.Combat, sites: Sites) -> Values:
    """The features of everybody without the effects of sites.

    Args:
      fitted: on training people.
      sites: their tables.
    """
    return {n: combat.apply(fitted, n, t.covariates, t.features) for n, t in sites.items()}


def _tell(values: Values, train: Trains) -> Predictions:
    """What a classifier says of the sites of people that it was not fitted on."""
    names = tuple(values)
    x, new = (np.concatenate([values[n][train[n] == is_fit] for n in names]) for is_fit in (1, 0))
    site, true = (np.repeat(np.arange(len(names)), [(train[n] == is_fit).sum() for n in names])
                  for is_fit in (1, 0))  # fmt: skip
    said = probabilities(x, site, new, len(names)) if x.shape[1] else None
    shares = np.tile(np.bincount(site) / len(site), (len(new), 1))
    subjects = [f"{names[k]}/{i}" for i, k in enumerate(true)]
    return Predictions(subjects, true.astype(np.float32), shares if said is None else said, shares,
                       names)  # fmt: skip


def tell_sites(sites: Sites, choice: Choice, names: Sequence[str]) -> dict[str, Predictions]:
    """Whether covariates, features and corrected features tell the site, by cross-validation.

    Args:
      sites: their tables.
      choice: how they are harmonised.
      names: of features.

    Returns:
      What the site is told from -> predictions of everybody's site.
    """
    told: dict[str, list[Predictions]] = {}
    for turn in range(FOLDS):
        train = training_people(sites, 1 / FOLDS, seed=choice.seed, turn=turn)
        fitted = fit(sites, train, names, spread=choice.spread)
        values = {
            "covariates alone": {n: t.covariates for n, t in sites.items()},
            "features": {n: t.features for n, t in sites.items()},
            "after ComBat": corrected(fitted, sites),
        }
        for row, of_sites in values.items():
            p = _tell(of_sites, train)
            people = [f"{turn}/{s}" for s in p.subjects]
            told.setdefault(row, []).append(p._replace(subjects=people))
    return {row: concatenate(parts) for row, parts in told.items()}


def _by_site(p: Predictions) -> list[Predictions]:
    """People are drawn within their site."""
    return [take(p, p.target == k) for k in range(len(p.classes))]


def summarise(told: Mapping[str, Predictions]) -> dict[str, Any]:
    """The numbers of `tell_sites`, and the paired difference of after and before.

    Args:
      told: its result.
    """
    rows = {row: pooled_accuracy(_by_site(p)) for row, p in told.items()}
    before, after = _by_site(told["features"]), _by_site(told["after ComBat"])
    return {"rows": rows, "difference": pooled_difference(after, before)}


def render(summary: Mapping[str, Any]) -> str:
    """The table of the test, as text.

    Args:
      summary: see `summarise`.
    """
    rows = [[name, *CLASSES.cells(numbers)] for name, numbers in summary["rows"].items()]
    d = summary["difference"]
    sites = len(summary["rows"]["features"]["confusion"])
    return "\n".join(
        [
            f"Can they tell the site? {FOLDS} folds; 95 %: over people; floor: accuracy of the"
            f" largest site; that of balanced accuracy is {1 / sites:.2f}, of the AUC 0.5.",
            *align([list(CLASSES.header), *rows]),
            f"after - before: accuracy {d['accuracy_difference']:+.2f} (95 %"
            f" {span(d['accuracy_difference_95'], '+.2f')})",
        ]
    )


def run(paths: Sequence[Path], output: Path, choice: Choice) -> None:
    """Harmonises tables, writes them and prints the test of sites.

    Args:
      paths: one a site.
      output: folder for tables of the same names, and `harmonisation.json`.
      choice: how.

    Raises:
      ValueError: one sentence that names the file, the row or the column.
    """
    if not 0 <= choice.test < 1:
        raise ValueError(f"--test: expected a share of at least 0 and below 1, got {choice.test}.")
    same = [path for path in paths if (output / path.name).resolve() == path.resolve()]
    if same:
        raise ValueError(f"{same[0]}: would be written over. Choose another --output.")
    sites, names = read_sites(paths, choice.covariates, choice.features)
    train = training_people(sites, choice.test, seed=choice.seed)
    fitted = fit(sites, train, names, spread=choice.spread)
    summary = summarise(tell_sites(sites, choice, names))
    for name, values in corrected(fitted, sites).items():
        write_features(output / f"{name}.tsv", sites[name], names, values)
    effects = {n: {k: v.tolist() for k, v in e._asdict().items()}
               for n, e in fitted.effects.items()}  # fmt: skip
    numbers = {k: np.asarray(getattr(fitted, k)).tolist() for k in ("height", "slopes", "scale")}
    people = {n: {"people": len(t.subjects), "fitted_on": int(train[n].sum())}
              for n, t in sites.items()}  # fmt: skip
    write_json(
        output / "harmonisation.json",
        {"covariates": list(choice.covariates), "features": names, "sites": people, **numbers,
         "effects": effects, "tells_the_site": summary},
    )  # fmt: skip
    for name, count in people.items():
        print(f"{name}: {count['people']} people, fitted on {count['fitted_on']} of them")
    print(f"{len(names)} features; kept: {', '.join(choice.covariates) or 'no covariate'}\n")
    print(render(summary))
    print(f"Tables: {output}")
