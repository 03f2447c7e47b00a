"""Ridge regression of age, trained at all sites but one and tested at that one, before and after
ComBat.

    python -m benchmarks.left_out_site --tables=guys.tsv,hh.tsv,iop.tsv

Tables are those of `fedbrain harmonise`, with columns age and sex. The regression never sees a
person of the site that is left out. ComBat must: it takes that site's shifts (no spreads, so that
no age of a tested person enters) from four fifths of its people, and the last fifth is tested, in
turns. A third row has the same help without ComBat: the mean error of these four fifths is taken
off. The penalty is chosen by leaving out one person of the training sites at a time.
"""

from pathlib import Path

import numpy as np
from absl import app, flags

from benchmarks.regions import ridge
from fedbrain.analysis.cells import align
from fedbrain.analysis.columns import NUMBERS
from fedbrain.analysis.intervals import span
from fedbrain.analysis.statistics import Predictions, accuracy, difference
from fedbrain.data.feature_tables import read_sites
from fedbrain.experiments.harmonise import FOLDS, corrected, fit, training_people

TABLES = flags.DEFINE_list("tables", None, "TSV files, one a site.", required=True)
ROWS = ("before", "before, moved", "after ComBat")


def main(argv: list[str]) -> None:
    """Prints a row for every site left out and every way to treat its features."""
    del argv
    sites, names = read_sites([Path(p) for p in TABLES.value], ("age", "sex"), ())
    age = {n: t.covariates[:, 0] for n, t in sites.items()}
    lines, changes = [], []
    for left, table in sites.items():
        others = [n for n in sites if n != left]
        target = np.concatenate([age[n] for n in others])
        raw = ridge(np.concatenate([sites[n].features for n in others]), target, table.features)
        said = {row: raw.copy() for row in ROWS}
        for turn in range(FOLDS):
            helps = training_people({left: table}, 1 / FOLDS, seed=0, turn=turn)[left]
            said["before, moved"][~helps] -= (raw - age[left])[helps].mean()
            train = {n: np.ones(len(age[n]), bool) for n in others} | {left: helps}
            values = corrected(fit(sites, train, names, spread=False), sites)
            x = np.concatenate([values[n] for n in others])
            said["after ComBat"][~helps] = ridge(x, target, values[left][~helps])
        floor = np.full(len(raw), np.median(target), np.float32)
        p = {
            row: Predictions(table.subjects, age[left].astype(np.float32),
                             values.astype(np.float32), floor)
            for row, values in said.items()
        }  # fmt: skip
        for row, predictions in p.items():
            gap = float((said[row] - age[left]).mean())
            lines.append([f"{left}: {row}", *NUMBERS.cells(accuracy(predictions)), f"{gap:+.2f}"])
        for row in ROWS[1:]:
            d = difference(p[row], p["before"])
            changes.append(
                f"{left}: {row} - before: {d['mae_difference']:+.2f} years (95 %"
                f" {span(d['mae_difference_95'], '+.2f')})"
            )
    print(f"{len(names)} features. Errors in years; 95 %: over people; floor: the median age of"
          " the training sites.")  # fmt: skip
    print("\n".join([*align([[*NUMBERS.header, "mean gap"], *lines]), *changes]))


if __name__ == "__main__":
    app.run(main)
