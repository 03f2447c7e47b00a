"""A job with several splits: the rows of the simulation, floors in every split, and what a site
that missed one tells.
"""

import json
import shutil

import pytest

from fedbrain.analysis.site_sums import GAP
from fedbrain.deploy.protocol.job import agree
from fedbrain.deploy.protocol.questions import write_training_order
from fedbrain.deploy.protocol.register import MOST_SCANS, Note, read_joins, seen_of, write_join
from fedbrain.deploy.protocol.splits import agreements_of, names_of
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.server_side.deadlines import Pace
from fedbrain.deploy.server_side.exchange import Rules, Side
from fedbrain.deploy.server_side.report import Ended, collect_rows, report
from fedbrain.deploy.server_side.report_text import render
from fedbrain.deploy.server_side.rounds import conduct
from fedbrain.deploy.server_side.status import Progress
from fedbrain.deploy.site_side import own_scans as module
from fedbrain.deploy.site_side.join import join
from fedbrain.deploy.site_side.policy import read_policy
from fedbrain.deploy.site_side.several_splits import share_programs
from fedbrain.experiments.experiment import run
from fedbrain.experiments.site_tables import gaps_of, pooled_of, rounds_of, rows_of_sites
from fedbrain.experiments.workdir import clean
from tests.conftest import without_figures
from tests.experiment_under_test import config
from tests.small_site import site_toml

OPENED = """[allow]
baselines = ["linear"]
describe = ["histogram", "classes"]
report_by = ["histogram"]
[columns]
sex = "sex"
"""
NAMES, LIMIT = ("amber", "birch", "cedar"), 10_000_000


def _config(cache, repeats):
    c = config(cache, rounds=1, regimes=("federated", "local"))
    c.driver, c.residence = "loop()", "streamed()"
    c.splits.update({"repeats": repeats, "inner": 2})
    c.baselines = ("linear('sex')",)
    c.describe = ("histogram('target', 20, 80, 6)", "classes('sex', 0, 1)")
    c.report_by = ("histogram('target', 20, 80, 2)",)
    return c


def _join(folder, tree, job, **how):
    folder.mkdir(exist_ok=True)
    path = folder.with_suffix(".toml")
    path.write_text(site_toml(folder.name, tree, more=OPENED, **how))
    return join(read_policy(path), job, workdir=folder, limit=LIMIT)


def _job(cache, repeats=2):
    fields = {
        k: v for k, v in _config(cache, repeats).to_dict().items() if k not in ("sites", "cache")
    }
    return json.loads(json.dumps({"config": fields, "target": "age", "sites": NAMES}))


def _conduct(job, joined, folder, told):
    """The splits of a job, run to their end."""

    def transport(asked, deadline_s):
        for name, question in asked.items():
            try:
                yield name, joined[name].worker.receive(question)
            except Refused as error:
                told.append(f"{name}: {error}")

    workers = [w for site in joined.values() for w in site.worker.workers.values()]
    for worker in workers[1:]:  # in one process, what one compiled all have
        share_programs(workers[0], worker)
    ended, agreement = [], agree(job)
    for agreed in agreements_of(agreement):
        split = agreed.split_id.name
        sites = {name: site.declared.of(split) for name, site in joined.items()}
        where = folder / "runs/federated" / split
        side = Side(agreed, transport, sites, Rules(2, 100, LIMIT, 60), Pace(60), Progress(folder))
        ended.append(Ended(side, conduct(side, folder=where), where))
    return ended


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.slow)])
def run_of_splits(request, hospitals, tmp_path_factory):
    """(folder, the sites, the ended splits, results, those of the simulation, what was refused)."""
    folder, told = tmp_path_factory.mktemp("splits"), []
    job = _job(folder, request.param)
    joined = {name: _join(folder / name, hospitals / name, job) for name in NAMES}
    (folder / "server").mkdir()
    ended = _conduct(job, joined, folder / "server", told)
    with without_figures():
        results = report(ended, workdir=folder / "server")
    c = _config(folder / "cache", request.param)
    c.sites = {name: f"bids({str(hospitals / name)!r}, columns={{'sex': 'sex'}})" for name in NAMES}
    with without_figures():
        run(c, folder / "simulated")
    simulated = json.loads((folder / "simulated/results.json").read_text())
    return folder, joined, ended, results, simulated, told


def test_linear_regressions_are_those_of_the_simulation(run_of_splits):
    folder, _, _, results, simulated, _ = run_of_splits
    [(title, floor)] = results["baselines"].items()
    assert title == "linear: sex"
    assert floor["without"] == {}
    expected = simulated["baselines"][title]
    for name, row in clean(floor["clients"]).items():
        theirs = expected["clients"][name]
        assert {k: row[k] for k in theirs if k != "age_gap"} == {
            k: v for k, v in theirs.items() if k != "age_gap"
        }
        at_home = json.loads((folder / name / "results.json").read_text())
        assert at_home["baselines"][title]["clients"][name]["mae"] == theirs["mae"]
    over_all = pooled_of(results, title)
    assert over_all["mae"] == pytest.approx(expected["pooled"]["mae"], rel=1e-9)
    assert "linear: sex:" in render(results)
    assert rows_of_sites(results).keys() == rows_of_sites(simulated).keys()


def test_tables_of_cohorts_and_errors_by_groups_are_those_of_the_simulation(run_of_splits):
    *_, results, simulated, _ = run_of_splits
    assert clean(results["data"]) == simulated["data"]
    assert results["undescribed"] == {}
    text = render(results)
    assert text.startswith("target ")
    assert "earth mover's distance" in text
    for regime, sites in simulated["groups"]["target"].items():
        told = clean(results["groups"]["target"][regime])
        assert {name: told[name] for name in NAMES} == {name: sites[name] for name in NAMES}


@pytest.mark.parametrize(("rows", "regime"), [("clients", "federated"), ("alone", "local")])
def test_rows_of_several_splits_are_those_of_the_simulation(run_of_splits, rows, regime):
    *_, results, simulated, told = run_of_splits
    assert not told
    assert set(results[rows]) == set(NAMES)
    for name, row in results[rows].items():
        theirs = simulated["regimes"][regime]["clients"][name]
        row = clean(row)
        assert {key: row[key] for key in theirs if key != "age_gap"} == {
            key: value for key, value in theirs.items() if key != "age_gap"
        }
        for part in GAP:
            ours, gap = gaps_of(clean(results[rows]))[name], theirs["age_gap"]
            assert (ours[part], ours[f"{part}_95"]) == (gap[part], gap[f"{part}_95"])
    over_all, expected = pooled_of(results, regime), pooled_of(simulated, regime)
    for part in ("n", "subjects", "mae", "rmse", "r2", "r", "floor_mae"):
        assert over_all[part] == pytest.approx(expected[part], rel=1e-9)
    gaps = (over_all["age_gap"], expected["age_gap"])
    assert gaps[0]["slope"] == pytest.approx(gaps[1]["slope"], abs=1e-6)
    assert "pooled" in render(results)
    models = simulated["variables_sha256"]
    assert results["variables_sha256"] == {k: v for k, v in models.items() if "federated" in k}
    assert rounds_of(results)[0].startswith("repeat0-split0: rounds: 1; best round: ")


def test_a_site_goes_home_with_the_models_of_all_splits(run_of_splits):
    folder, *_ = run_of_splits
    home = folder / "amber"
    own = json.loads((home / "results.json").read_text())
    simulated = json.loads((folder / "simulated/results.json").read_text())
    for regime in ("federated", "local"):
        theirs = simulated["regimes"][regime]["clients"]["amber"]["mae"]
        assert own["regimes"][regime]["clients"]["amber"]["mae"] == theirs
    splits = len(simulated["variables_sha256"]) // 4
    assert len(list(home.glob("runs/federated/*/checkpoints"))) == splits
    assert len(list(home.glob("splits/*/questions.json"))) == splits


def test_floors_hold_in_every_split(hospitals, tmp_path, monkeypatch):
    real, seen = module.require_floors, []

    def few_in_the_last(policy, split, **how):
        seen.append(split)
        least = 3 + 50 * (len(seen) == 4)
        real(policy._replace(minimum_validation_subjects=least - 2), split, **how)

    monkeypatch.setattr(module, "require_floors", few_in_the_last)
    with pytest.raises(Refused, match="expected at least 51 validation subjects at amber, got"):
        _join(tmp_path / "amber", hospitals / "amber", _job(tmp_path))
    assert len({split.test.ids for split in seen}) == 2
    assert len({split.valid.ids for split in seen}) == 4


def test_a_message_of_no_split_of_the_job_is_refused(run_of_splits):
    _, joined, ended, *_ = run_of_splits
    order = write_training_order(
        ended[0].side.agreement.terms._replace(config="0" * 64),
        ended[0].snapshot.server,
        nonce="x",
    )
    with pytest.raises(Refused, match="config: expected that of a split of this job"):
        joined["amber"].worker.receive(order)


def test_what_a_site_declares_of_splits_is_checked(run_of_splits):
    _, joined, ended, *_ = run_of_splits
    names = [e.side.agreement.split_id.name for e in ended]
    declared, worker = joined["amber"].declared, joined["amber"].worker
    honest = write_join(declared, Note(worker.last_round, {}, {}, worker.rounds))
    joins = read_joins([("amber", honest)], MOST_SCANS, names)
    assert joins.joined == {"amber": declared}
    assert seen_of(joins, names[-1]) == {"amber": 1}
    for wrong in (
        declared._replace(splits={}),
        declared._replace(splits={**declared.splits, "repeat9-split0": [1, 1, 1]}),
        declared._replace(splits={**declared.splits, names[0]: [10**9, 1, 1]}),
        declared._replace(splits={**declared.splits, names[0]: [1, 1]}),
    ):
        joins = read_joins([("amber", write_join(wrong, Note()))], MOST_SCANS, names)
        assert set(joins.wrong) == {"amber"}


def test_a_site_that_missed_the_end_of_a_split_tells_nothing(run_of_splits):
    folder, _, ended, *_, told = run_of_splits
    shutil.rmtree(folder / "birch/runs/federated/repeat0-split0")
    away = ended[0].side._replace(excluded={"birch": "away"})
    splits = [ended[0]._replace(side=away), *ended[1:]]
    lone, _, together = collect_rows(splits)
    assert set(lone.admitted) == set(NAMES)
    assert set(together.admitted) == {"amber", "cedar"}
    assert told == [
        "birch: expected the models of all splits, got none of repeat0-split0: this site was not"
        " there at its end"
    ]


def test_names_of_splits():
    assert names_of(agree(_job("", 2))) == [
        f"repeat{r}-split{k}" for r in range(2) for k in range(2)
    ]
