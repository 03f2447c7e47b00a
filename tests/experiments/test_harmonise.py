"""fedbrain harmonise: tables of sites with effects that were put in."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fedbrain.data import combat
from fedbrain.data.feature_tables import read_sites
from fedbrain.data.tables import read_table
from fedbrain.experiments.harmonise import training_people
from tests.data.test_combat import cohort
from tests.programs import run_program
from tests.test_documented_commands import blocks

PAGE = Path(__file__).parents[2] / "docs" / "harmonisation.md"
SIZES = {"guys": 60, "hh": 40, "iop": 30}


def write_sites(folder, changes=()):
    """Tables with age and sex; `changes`: (site, row, column, text)."""
    paths = []
    for name, (x, y) in cohort(features=6, sizes=SIZES).items():
        header = ["participant_id", "age", "sex", *(f"region{k}" for k in range(6))]
        rows = [
            [f"sub-{i:03d}", f"{a:.4f}", "FM"[int(s)], *(f"{v:.6f}" for v in line)]
            for i, ((a, s), line) in enumerate(zip(x, y))
        ]
        for site, row, column, text in changes:
            if site == name:
                for line in rows if row is None else [rows[row]]:
                    line[header.index(column)] = text
        paths.append(folder / f"{name}.tsv")
        paths[-1].write_text("\n".join(map("\t".join, [header, *rows])) + "\n")
    return paths


def harmonise(folder, paths, *flags):
    tables = ",".join(map(str, paths))
    return run_program(
        "fedbrain.harmonise", tables, "--covariates=age,sex", f"--output={folder / 'out'}", *flags
    )


def features(path):
    return np.asarray([[float(v) for k, v in row.items() if k.startswith("region")]
                       for row in read_table(path)])  # fmt: skip


def test_the_commands_of_the_page(tmp_path):
    write_sites(tmp_path)
    commands = [
        line.split()[1:]
        for block in blocks(PAGE.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.startswith("fedbrain harmonise guys.tsv,hh.tsv,iop.tsv")
    ]
    assert len(commands) >= 2
    for _, *words in commands:
        done = run_program("fedbrain.harmonise", *words, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert re.search(r"features +130 .*\nafter ComBat +130", done.stdout)
    folder = tmp_path / "harmonised"
    assert {p.name for p in folder.iterdir()} == {"guys.tsv", "hh.tsv", "iop.tsv",
                                                  "harmonisation.json"}  # fmt: skip


def test_what_sites_did_is_gone_and_the_rest_stays(tmp_path):
    paths = write_sites(tmp_path)
    done = harmonise(tmp_path, paths, "--test=0")
    assert done.returncode == 0, done.stderr
    sites = {
        p.stem: (
            np.asarray([[float(r["age"]), r["sex"] == "M"] for r in read_table(p)]),
            features(p),
        )
        for p in paths
    }
    fitted = combat.fit(sites)
    for path in paths:
        expected = combat.apply(fitted, path.stem, *sites[path.stem])
        np.testing.assert_allclose(features(tmp_path / "out" / path.name), expected, rtol=1e-8)
        kept = [(r["participant_id"], r["age"], r["sex"]) for r in read_table(path)]
        written = read_table(tmp_path / "out" / path.name)
        assert kept == [(r["participant_id"], r["age"], r["sex"]) for r in written]
    told = json.loads((tmp_path / "out" / "harmonisation.json").read_text())
    assert told["sites"]["hh"] == {"people": 40, "fitted_on": 40}
    rows = told["tells_the_site"]["rows"]
    assert rows["features"]["accuracy_95"][0] > rows["features"]["floor_accuracy"]
    assert told["tells_the_site"]["difference"]["accuracy_difference_95"][1] < 0


def changed_by(folder, change, *flags):
    """Site -> whose features a change of one person changes, and who of that site trains."""
    told = []
    for changes in ([], [change]):
        paths = write_sites(folder, changes)
        assert harmonise(folder, paths, *flags).returncode == 0
        told.append({p.stem: features(folder / "out" / p.name) for p in paths})
    rows, columns = ({n: ~np.isclose(*(t[n] for t in told), rtol=1e-11).all(axis)
                      for n in told[0]} for axis in (1, 0))  # fmt: skip
    return rows, columns


def test_people_who_do_not_train_change_nobody_else(tmp_path):
    paths = write_sites(tmp_path)
    sites, _ = read_sites(paths, ("age", "sex"), ())
    train = training_people(sites, 0.2, seed=0)["hh"]
    assert train.sum() == 32
    tested, trains = int(np.argmin(train)), int(np.argmax(train))
    rows, _ = changed_by(tmp_path, ("hh", tested, "region2", "5000"))
    assert {n: k.sum() for n, k in rows.items()} == {"guys": 0, "hh": 1, "iop": 0}
    rows, columns = changed_by(tmp_path, ("hh", trains, "region2", "5000"))
    assert all(columns[name][2] and rows[name].all() for name in rows)


def test_with_shift_alone_a_persons_sex_does_not_matter(tmp_path):
    sites, _ = read_sites(write_sites(tmp_path), ("age", "sex"), ())
    tested = int(np.argmin(training_people(sites, 0.2, seed=0)["iop"]))
    other = "F" if sites["iop"].covariates[tested, 1] else "M"
    rows, _ = changed_by(tmp_path, ("iop", tested, "sex", other), "--adjust=shift")
    assert not any(k.any() for k in rows.values())
    rows, _ = changed_by(tmp_path, ("iop", tested, "sex", other))
    assert [k.sum() for k in rows.values()] == [0, 0, 1]


REFUSED = {
    "no age": (
        [("hh", 3, "age", "n/a")],
        r"hh.tsv: sub-003: expected a number in the column 'age'",
    ),
    "a word": ([("hh", 3, "region1", "big")], r"hh.tsv: sub-003: .*'region1', got 'big'"),
    "twice": ([("hh", 3, "participant_id", "sub-004")], r"hh.tsv: .* got sub-004 more than once"),
    "constant": ([("iop", None, "region4", "7")], r"iop.tsv: .*one number.*'region4'"),
    "one age": ([(s, None, "age", "50") for s in SIZES], r"covariates that differ within sites"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_sentence(tmp_path, name):
    changes, sentence = REFUSED[name]
    done = harmonise(tmp_path, write_sites(tmp_path, changes))
    assert done.returncode == 1
    assert re.search(sentence, done.stderr), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list((tmp_path / "out").glob("*"))


def test_refused_before_anything_is_read(tmp_path):
    paths = write_sites(tmp_path)
    assert "at least two sites" in harmonise(tmp_path, paths[:1]).stderr
    assert "written over" in harmonise(tmp_path, paths, f"--output={tmp_path}").stderr
    assert "no column" not in harmonise(tmp_path, paths, "--features=region0,region1").stderr
    assert "expected a column 'volume'" in harmonise(tmp_path, paths, "--features=volume,a").stderr
    assert "at least two features" in harmonise(tmp_path, paths, "--features=region0").stderr
    assert "--test" in harmonise(tmp_path, paths, "--test=1").stderr
    lines = paths[2].read_text().splitlines()[:7]
    paths[2].write_text("\n".join(lines) + "\n")
    assert re.search(
        r"iop.tsv: expected at least 7 training people", harmonise(tmp_path, paths).stderr
    )
