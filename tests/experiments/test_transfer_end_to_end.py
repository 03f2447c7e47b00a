"""From one experiment to the next: where it starts, what stands still, what is sent; several
modalities; the way out.
"""

import json

import numpy as np
import pytest

from fedbrain import main
from fedbrain.experiments.saved_models import load_models
from fedbrain.experiments.split_id import SplitId
from fedbrain.experiments.starting_point import run
from fedbrain.models.files.weights import flatten
from fedbrain.models.low_rank import merged
from tests.experiment_under_test import config

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")


@pytest.fixture
def first(two_rounds, scans):
    """A finished experiment on ages: (work directory, cache)."""
    return two_rounds, scans


def _second(cache, **sites):
    c = config(cache, rounds=2, regimes=("federated",))
    c.sites = {
        h: f"synthetic('{h}', subjects={n}, ms=True, label='sdmt'{more})"
        for h, n, more in (("amber", 15, ""), ("birch", 12, ""), ("cedar", 10, ", flair=False"))
    }
    c.unit = "points"
    return c


def _variables(workdir):
    [(_, variables)] = load_models(workdir, split="repeat0-split0")
    return flatten(variables)


def test_shallow_transfer_starts_from_the_first_experiment_and_moves_the_head_alone(
    first, tmp_path
):
    workdir, cache = first
    c = _second(cache)
    c.initial = f"run({str(workdir)!r})"
    c.trainable = "only_head()"
    c.describe = ("histogram('target', 0, 100, 10)", "histogram('age', 10, 100, 9)")
    c.report_by = ("classes('sex', 0, 1)",)
    main.run(c, tmp_path / "run")
    before, after = _variables(workdir), _variables(tmp_path / "run")
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {"params/head/kernel", "params/head/bias"}
    told = json.loads((tmp_path / "run/initial/repeat0-split0.json").read_text())
    assert (len(told["loaded"]), told["missing"], told["left_over"]) == (len(before), [], [])
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["footprint"]["trained"] == 9
    assert results["footprint"]["sent_bytes"] < 100
    assert results["data"]["age"]["all"]["people"] == 37
    by_sex = results["groups"]["sex"]["federated"]
    assert set(by_sex) == {"amber", "birch", "cedar", "pooled"}
    assert all(m["subjects"] >= 5 for measured in by_sex.values() for m in measured)
    assert set(results["data"]["target"]["distances"]) == {
        "amber - birch",
        "amber - cedar",
        "birch - cedar",
    }
    main.run(c, tmp_path / "run")  # resumes: nothing is left to do
    assert json.loads((tmp_path / "run/results.json").read_text()) == results
    path = tmp_path / "run/initial/repeat0-split0.json"
    path.write_text(path.read_text().replace(json.loads(path.read_text())["sha256"], "0" * 64))
    with pytest.raises(
        ValueError, match="which has been trained anew since. Choose another --workdir"
    ):
        main.run(c, tmp_path / "run")


def test_a_change_of_low_rank_is_all_that_is_sent_and_the_next_start_has_the_changed_network(
    first, tmp_path
):
    workdir, cache = first
    c = _second(cache)
    c.initial = f"run({str(workdir)!r}, head=False)"
    c.trainable = "low_rank(1)"
    main.run(c, tmp_path / "run")
    [(_, trained)] = load_models(tmp_path / "run", split="repeat0-split0")
    before, after = _variables(workdir), flatten(trained)
    told = json.loads((tmp_path / "run/initial/repeat0-split0.json").read_text())
    assert told["fresh"] == sorted(set(after) - set(before))
    kept = [name for name in before if not name.startswith("params/head")]
    for name in kept:
        np.testing.assert_array_equal(before[name], after[name])
    results = json.loads((tmp_path / "run/results.json").read_text())
    numbers = sum(after[name].size for name in after if name not in kept)
    assert results["footprint"]["trained"] == numbers < sum(x.size for x in before.values()) / 2
    start = run(str(tmp_path / "run"), split="repeat0-split0")
    [(_, plain)] = load_models(workdir, split="repeat0-split0")
    network, _ = start(plain, SplitId(0, 0))
    for name, array in flatten(network).items():
        np.testing.assert_array_equal(array, flatten(merged(trained))[name])
    assert not np.array_equal(network["params"]["conv1"]["kernel"], before["params/conv1/kernel"])


def test_two_modalities_one_of_which_a_hospital_lacks_and_a_covariate(first, tmp_path):
    _, cache = first
    c = _second(cache)
    c.modalities = ("T1w", "FLAIR")
    c.covariates = ("scaled('age', centre=50.0, scale=15.0)",)
    c.augment = "augment(flip=True, shift=1, modality_dropout=0.3)"
    main.run(c, tmp_path / "run")
    variables = _variables(tmp_path / "run")
    assert variables["params/conv1/kernel"].shape[3] == 2
    assert variables["params/head_covariates/kernel"].shape == (
        3,
        1,
    )  # age, T1w is there, FLAIR is there


def test_a_target_that_each_site_standardises_and_a_norm_of_one(first, tmp_path):
    _, cache = first
    c = _second(cache)
    c.target = "z_score()"
    c.norms = (
        "regression_norm('amber', 8.34, 67.18, powers={'age': (0, 0, -2.0145e-4, 2.3585e-6)})",
    )
    main.run(c, tmp_path / "run")
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["regimes"]["federated"]["pooled"]["floor_mae"] < 3


def test_a_norm_of_nobody_and_a_model_of_nowhere_are_one_sentence(first, tmp_path):
    _, cache = first
    c = _second(cache)
    c.norms = ("regression_norm('oslo', 8.34)",)
    with pytest.raises(
        ValueError, match="config.norms: expected names of sites, amber, birch, cedar, got 'oslo'"
    ):
        main.run(c, tmp_path / "a")
    c = _second(cache)
    c.initial = "run('nowhere')"
    with pytest.raises(ValueError, match="nowhere: expected the work directory of an experiment"):
        main.run(c, tmp_path / "b")
