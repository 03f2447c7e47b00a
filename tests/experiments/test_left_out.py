"""Leave one site out: who trains, who is tested, what is refused."""

import json

import numpy as np
import pytest

from fedbrain import main
from fedbrain.data.tables import read_table
from fedbrain.experiments.clients import load_clients
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.known_people import find_known
from fedbrain.experiments.saved_models import load_models
from tests.conftest import without_figures
from tests.experiment_under_test import config

pytestmark = pytest.mark.usefixtures("shared_programs")
SITES = {"amber", "birch", "cedar"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scans):
    workdir = tmp_path_factory.mktemp("left_out") / "run"
    with without_figures():
        main.run(config(scans, 1, ("federated", "leave_one_site_out")), workdir)
    return workdir, json.loads((workdir / "results.json").read_text())


def test_a_row_for_every_site_and_nobody_of_it_in_training(finished):
    workdir, results = finished
    regimes = results["regimes"]
    assert set(regimes["leave_one_site_out"]["clients"]) == SITES
    for site in SITES:
        folder = workdir / "runs" / f"without-{site}" / "repeat0-split0"
        assert set(json.loads((folder / "members.json").read_text())) == SITES - {site}
    assert "federated - leave_one_site_out" in results["comparisons"]
    assert regimes["federated"]["pooled"]["n"] == regimes["leave_one_site_out"]["pooled"]["n"]


def test_the_floor_is_the_median_of_those_who_trained(finished, scans):
    workdir, _ = finished
    clients, _ = load_clients(read_experiment(config(scans)))
    age = {i: t for s in clients.values() for i, t in zip(s.ids, s.target)}
    trained = {
        site: [age[row["scan_id"]] for row in read_table(workdir / "clients" / site / "scans.tsv")
               if row["repeat0-split0"] == "train"]
        for site in SITES
    }  # fmt: skip
    results = json.loads((workdir / "results.json").read_text())
    for site in SITES:
        floor = np.median(np.concatenate([trained[s] for s in SITES - {site}]))
        tests = [age[row["scan_id"]] for row in read_table(workdir / "clients" / site / "scans.tsv")
                 if row["repeat0-split0"] == "test"]  # fmt: skip
        row = results["regimes"]["leave_one_site_out"]["clients"][site]
        assert row["floor_mae"] == pytest.approx(np.abs(np.asarray(tests) - floor).mean(), rel=1e-5)


def test_each_model_is_told_of_once_and_can_be_used(finished, scans):
    workdir, results = finished
    assert set(results["crossed"]) == {f"without-{site}" for site in SITES}
    assert len(load_models(workdir, federation="without-amber")) == 1
    clients, _ = load_clients(read_experiment(config(scans)))
    assert not find_known([workdir], "without-amber", clients["amber"]).same_image
    assert find_known([workdir], "without-birch", clients["amber"]).same_image


REFUSED = {
    "private layers": ({"server.sharing": "without_batch_norm()"}, "all layers to be shared"),
    "a rule for three": ({"server.aggregator": "trimmed_mean(1)"}, "not defined for 2 clients"),
    "one site": ({"sites": {"amber": "synthetic('amber', subjects=15)"}}, "two clients or more"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_training(name, tmp_path, scans):
    changes, sentence = REFUSED[name]
    c = config(scans, 1, ("leave_one_site_out",))
    for field, value in changes.items():
        group, _, last = field.rpartition(".")
        (c[group] if group else c)[last] = value
    with pytest.raises(ValueError, match=sentence):
        main.run(c, tmp_path / "run")
    assert not (tmp_path / "run").exists()
