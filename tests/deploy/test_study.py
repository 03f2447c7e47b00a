"""A person approves a whole study once: every job of it that is what the study says runs, and no
other.
"""

import copy
import json

import pytest

from fedbrain.deploy.protocol.config_hash import config_hash
from fedbrain.deploy.protocol.first_model import read_start
from fedbrain.deploy.protocol.job import agree, job_hash, require_job
from fedbrain.deploy.protocol.study import config_at, study_hash
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.approval import NotApproved, approve, keep_waiting, waiting
from fedbrain.deploy.site_side.join import join
from fedbrain.deploy.site_side.policy import read_policy
from fedbrain.deploy.site_side.review import review
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.models.files.weights import load, save
from tests.deploy.test_approval import TOML, _job

EARLIER = "earlier('first/seed0', head=False)"
SITES = ["amber", "birch"]


def _experiments(**changes):
    """Brain age, then the score from its model, with the head alone and from scratch."""
    config = _job()["config"]
    rows = {"first": {}, "shallow": {"initial": EARLIER, "trainable": "only_head()"}}
    rows["scratch"] = {"rounds": 9, **changes}
    return {
        f"{row}/seed0": {
            "config": {**config, **fields},
            "target": "age" if row == "first" else "sdmt",
            "sites": SITES,
        }
        for row, fields in rows.items()
    }


@pytest.fixture
def kit(tmp_path):
    (tmp_path / "kit/local").mkdir(parents=True)
    toml = TOML + '[targets.sdmt]\ncolumn = "sdmt_total"\n'
    (tmp_path / "kit/local/site.toml").write_text(toml)
    return tmp_path / "kit"


@pytest.fixture(scope="module")
def best():
    """(a model of the first experiment, its hash as a start without the head)."""
    first = {"version": 2, **_experiments()["first/seed0"]}
    return agree(first).fresh


def _see_first_run(kit, best):
    """The site saw the first experiment to its end; the hash of its model as a start."""
    hash = config_hash(_experiments()["first/seed0"]["config"])
    folder = kit / "fedbrain" / f"age-{hash[:16]}"
    folder.mkdir(parents=True)
    save(best, str(folder / "model.safetensors"), torch=False)
    return tree_digest(load(best, str(folder / "model.safetensors"), head=False)[0])


def _job_of(experiments, place, sha256="a" * 64):
    fields = {**experiments[place], "config": config_at(experiments, place, sha256)}
    study = {"place": place, "experiments": experiments}
    return json.loads(json.dumps({"version": 2, **fields, "study": study}))


def _join(kit, job):
    (kit / "fedbrain/of_job").mkdir(parents=True, exist_ok=True)
    policy = read_policy(kit / "local/site.toml")
    return join(policy, job, workdir=kit / "fedbrain/of_job", limit=1 << 20)


def test_a_study_is_approved_once_and_then_all_its_jobs_run(kit, best):
    experiments = _experiments()
    with pytest.raises(NotApproved, match="study .*: expected one that a person at this site"):
        _join(kit, _job_of(experiments, "first/seed0"))
    keep_waiting(kit, _job_of(experiments, "first/seed0"))
    keep_waiting(kit, _job_of(experiments, "scratch/seed0"))
    hash = study_hash(experiments)
    assert list(waiting(kit)) == [hash]
    text = review(kit)
    assert f"Study {hash}\nNot approved." in text
    assert "shallow/seed0: predicts sdmt (column 'sdmt_total') from T1w" in text
    assert "starts from the best model of first/seed0 of this study, as this site saw it" in text
    assert "27 sums" not in text
    assert f"{8 + 8 + 10} sums of validation losses" in text
    assert text.count("  rounds = 7\n") + text.count("rounds = 9") == 3  # where they differ
    assert text.count("Differential privacy: none. No epsilon applies") == 3
    assert "Approved" in approve(kit, hash)
    assert review(kit) == "No job waits."
    sha256 = _see_first_run(kit, best)
    for place in experiments:
        with pytest.raises(ValueError, match="/nowhere"):  # the next step: it reads the data
            _join(kit, _job_of(experiments, place, sha256))


CHANGES = {
    "rounds": lambda job: job["config"].update(rounds=70),
    "one client's batch": lambda job: job["config"]["client"].update(batch_size=16),
    "target": lambda job: job.update(target="age"),
    "sites": lambda job: job.update(sites=["amber", "birch", "zoo"]),
    "place": lambda job: job["study"].update(place="first/seed0"),
    "no place": lambda job: job["study"].update(place="deep/seed7"),
    "another first model": lambda job: job["config"].update(initial="random()"),
    "a model of another run": lambda job: job["config"].update(
        initial=f"sent('{'a' * 64}', run='{'b' * 64}', head=False)"
    ),
    "with its head": lambda job: job["config"].update(
        initial=job["config"]["initial"].replace("False", "True")
    ),
    "a field more": lambda job: job["config"].update(more=1),
    "a field less": lambda job: job["config"].pop("loss"),
    "more in the study": lambda job: job["study"].update(more=1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_job_that_differs_from_its_study_is_refused(kit, change):
    experiments = _experiments()
    job = _job_of(experiments, "shallow/seed0")
    keep_waiting(kit, job)
    approve(kit, study_hash(experiments))
    CHANGES[change](job)
    with pytest.raises(Refused, match="study: expected"):
        _join(kit, job)


@pytest.mark.parametrize("fields", [{"rounds": 10}, {"loss": "l2()"}, {"seed": 5}])
def test_another_study_is_another_hash(kit, fields):
    keep_waiting(kit, _job_of(_experiments(), "first/seed0"))
    approve(kit, study_hash(_experiments()))
    with pytest.raises(NotApproved):  # also for an experiment that both have
        _join(kit, _job_of(_experiments(**fields), "first/seed0"))


def test_a_start_is_bound_to_the_run_that_this_site_saw(kit, best):
    experiments = _experiments()
    keep_waiting(kit, _job_of(experiments, "first/seed0"))
    approve(kit, study_hash(experiments))
    unknown = "expected a first model that this site accepts .* not the best model of a run"
    with pytest.raises(Refused, match=unknown):  # it did not see the run
        _join(kit, _job_of(experiments, "shallow/seed0"))
    sha256 = _see_first_run(kit, best)
    with pytest.raises(Refused, match=unknown):  # the run had another model
        _join(kit, _job_of(experiments, "shallow/seed0", "c" * 64))
    with pytest.raises(ValueError, match="/nowhere"):
        _join(kit, _job_of(experiments, "shallow/seed0", sha256))


def test_one_job_of_a_study_is_approved_alone(kit, best):
    experiments, sha256 = _experiments(), _see_first_run(kit, best)
    job = _job_of(experiments, "scratch/seed0")
    keep_waiting(kit, job)
    approve(kit, job_hash(job))
    with pytest.raises(ValueError, match="/nowhere"):
        _join(kit, job)
    with pytest.raises(NotApproved):
        _join(kit, _job_of(experiments, "first/seed0"))
    start = _job_of(experiments, "shallow/seed0", sha256)
    keep_waiting(kit, start)
    approve(kit, job_hash(start))
    with pytest.raises(Refused, match="expected a first model that this site accepts"):
        _join(kit, start)  # approved alone, its start is for [start] to accept


BROKEN = {
    "no experiment": (lambda e: e.clear(), "expected 1 to 1000 experiments"),
    "a path": (lambda e: e.update({"../x": e["first/seed0"]}), "expected places like"),
    "a field more": (lambda e: e["first/seed0"].update(more=1), "expected a config, a target"),
    "an unknown origin": (
        lambda e: e["shallow/seed0"]["config"].update(initial="earlier('zoo/seed0')"),
        "expected a start from an experiment of the study",
    ),
    "a chain": (
        lambda e: e["scratch/seed0"]["config"].update(initial="earlier('shallow/seed0')"),
        "expected a start from an experiment of the study",
    ),
    "no start": (
        lambda e: e["scratch/seed0"]["config"].update(initial="run('/etc')"),
        "config.initial: Unknown 'run'",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_study_is_refused(broken):
    job = _job_of(_experiments(), "first/seed0")
    change, sentence = BROKEN[broken]
    change(job["study"]["experiments"])
    with pytest.raises(Refused, match=sentence):
        require_job(job)


def test_review_says_what_a_site_refuses_of_a_study(kit):
    keep_waiting(kit, _job_of(_experiments(algorithm="mimelite()"), "first/seed0"))
    assert "This site refuses its experiment scratch/seed0: config.algorithm" in review(kit)
    others = copy.deepcopy(_experiments())
    for experiment in others.values():
        experiment["sites"] = ["birch"]
    keep_waiting(kit, _job_of(others, "first/seed0"))
    assert "This site, amber, is in none of its experiments" in review(kit)


def test_a_job_names_the_start_that_its_study_describes():
    experiments = _experiments()
    start = read_start(config_at(experiments, "shallow/seed0", "d" * 64))
    assert start == ("d" * 64, config_hash(experiments["first/seed0"]["config"]), False)
