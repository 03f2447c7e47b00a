"""fedbrain harmonise-apart: the steps by files give what one computer gives, and nothing else
leaves.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.test_harmonise import SIZES, features, harmonise, write_sites
from tests.programs import run_program
from tests.test_documented_commands import blocks

PAGE = Path(__file__).parents[2] / "docs" / "harmonisation.md"


def run(folder, *words):
    done = run_program("fedbrain.harmonise_apart", *words, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def page_commands():
    """The words of every `fedbrain harmonise-apart` of the page."""
    for block in blocks(PAGE.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith("fedbrain harmonise-apart"):
                yield line.split("#")[0].split()[2:]


def test_the_commands_of_the_page_give_what_one_computer_gives(tmp_path):
    paths = write_sites(tmp_path)
    assert harmonise(tmp_path, paths).returncode == 0
    commands = list(page_commands())
    assert [words[0] for words in commands].count("combine") == 2
    for words in commands:
        for site in SIZES if any("guys.tsv" in w for w in words) else ("",):
            run(tmp_path, *(w.replace("guys", site) if site else w for w in words))
    for path in paths:
        one, apart = (features(tmp_path / f / path.name) for f in ("out", "harmonised"))
        np.testing.assert_allclose(apart, one, rtol=1e-8)


def test_what_leaves_a_site(tmp_path):
    write_sites(tmp_path)
    run(tmp_path, "sums", "--table=hh.tsv", "--covariates=age,sex", "--output=hh.json")
    first = json.loads((tmp_path / "hh.json").read_text())
    shared = {"step", "covariates", "features", "test", "seed", "site"}
    assert set(first) == shared | {"xx", "xy"}
    assert np.shape(first["xx"]) == (3, 3)
    assert np.shape(first["xy"]) == (3, 6)
    for site in ("guys", "iop"):
        run(
            tmp_path, "sums", f"--table={site}.tsv", "--covariates=age,sex", f"--output={site}.json"
        )
    run(tmp_path, "combine", "--files=guys.json,hh.json,iop.json", "--output=r.json")
    run(tmp_path, "squares", "--table=hh.tsv", "--given=r.json", "--output=hh2.json")
    then = json.loads((tmp_path / "hh2.json").read_text())
    assert set(then) == shared | {"squares"}
    assert np.shape(then["squares"]) == (6,)


@pytest.fixture
def first_step(tmp_path):
    """Tables, the first files of all sites and the regression, without covariates."""
    write_sites(tmp_path)
    names = "region0,region1,region2"
    for site in SIZES:
        run(tmp_path, "sums", f"--table={site}.tsv", f"--features={names}", f"--output={site}.json")
    run(tmp_path, "combine", "--files=guys.json,hh.json,iop.json", "--output=regression.json")
    return tmp_path


def test_without_covariates(first_step):
    for site in SIZES:
        run(first_step, "squares", f"--table={site}.tsv", "--given=regression.json",
            f"--output={site}2.json")  # fmt: skip
    files = ",".join(f"{site}2.json" for site in SIZES)
    run(first_step, "combine", f"--files={files}", "--given=regression.json", "--output=c.json")
    run(first_step, "apply", "--table=iop.tsv", "--given=c.json", "--output=apart")
    tables = ",".join(f"{site}.tsv" for site in SIZES)
    flags = ("--features=region0,region1,region2", "--output=one")
    assert run_program("fedbrain.harmonise", tables, *flags, folder=first_step).returncode == 0
    np.testing.assert_allclose(
        features(first_step / "apart" / "iop.tsv"), features(first_step / "one" / "iop.tsv"),
        rtol=1e-8,
    )  # fmt: skip


REFUSED = {
    "a site twice": ("combine --files=hh.json,hh.json --output=x", "'hh' twice"),
    "one site": ("combine --files=hh.json --output=x", "at least two sites"),
    "another step": ("squares --table=hh.tsv --given=hh.json --output=x", "of the step regression"),
    "not all": (
        "combine --files=hh.json,iop.json --given=regression.json --output=x",
        "of the step squares, got one of the step 'sums'",
    ),
    "another name": (
        "squares --table=other.tsv --given=regression.json --output=x",
        "called like a site",
    ),
    "no file": ("combine --files=none.json,hh.json --output=x", "none.json: cannot be read"),
    "no JSON": ("combine --files=hh.tsv,hh.json --output=x", "hh.tsv: expected a file of the step"),
    "no table": ("sums --output=x", "expected --table"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_sentence(first_step, name):
    words, sentence = REFUSED[name]
    done = run_program("fedbrain.harmonise_apart", *words.split(), folder=first_step)
    assert done.returncode in (1, 2)
    assert re.search(sentence, done.stderr), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (first_step / "x").exists()


def test_sites_that_do_not_agree_are_told(first_step):
    words = "sums --table=hh.tsv --covariates=age --features=region0,region1 --output=hh.json"
    run(first_step, *words.split())
    files = "combine --files=guys.json,hh.json --output=x"
    done = run_program("fedbrain.harmonise_apart", *files.split(), folder=first_step)
    assert "hh.json: expected the covariates of guys.json" in done.stderr


def test_a_table_that_changed_between_the_steps_is_refused(first_step):
    lines = (first_step / "hh.tsv").read_text().splitlines()
    (first_step / "hh.tsv").write_text("\n".join(lines[:-10]) + "\n")
    words = "squares --table=hh.tsv --given=regression.json --output=x"
    done = run_program("fedbrain.harmonise_apart", *words.split(), folder=first_step)
    assert "training people of the first step" in done.stderr
