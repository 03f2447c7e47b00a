"""Voxel-wise ComBat between hospitals: the simulation's model, what leaves, what is refused."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.deploy.protocol.job import agree
from fedbrain.deploy.protocol.questions import write_model
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.terms import variables_of
from fedbrain.deploy.protocol.voxels import ANSWERS, write_voxels
from fedbrain.deploy.protocol.wire import Refused, unpack
from fedbrain.deploy.server_side.deadlines import Pace
from fedbrain.deploy.server_side.exchange import Rules, Side
from fedbrain.deploy.server_side.rounds import conduct
from fedbrain.deploy.server_side.status import Progress
from fedbrain.deploy.server_side.submit import write_job
from fedbrain.deploy.site_side.beside_in_words import beside_in_words
from fedbrain.deploy.site_side.dry_run import dry_run
from fedbrain.deploy.site_side.join import join
from fedbrain.deploy.site_side.policy import read_policy
from fedbrain.deploy.site_side.told_people import ToldPeople
from fedbrain.experiments.checkpoints import tree_digest
from fedbrain.experiments.experiment import run
from fedbrain.experiments.workdir import clean
from tests.conftest import without_figures
from tests.experiment_under_test import config
from tests.small_site import site_toml

NAMES, LIMIT = ("amber", "birch", "cedar"), 10_000_000
OPENED = '[allow]\nharmonise = ["voxelwise"]\n[columns]\nsex = "sex"\n'
KINDS = ("means", "spread", "shift")


def _config(cache):
    c = config(cache, rounds=1, regimes=("federated",))
    c.prepare = "registered(voxel_size_mm=18.0, shape=(10, 12, 10))"
    c.harmonise = "voxelwise('target')"
    c.driver, c.residence = "loop()", "streamed()"
    return c


@pytest.fixture
def job(tmp_path):
    fields = {k: v for k, v in _config(tmp_path).to_dict().items() if k not in ("sites", "cache")}
    return clean({"config": fields, "target": "age", "sites": NAMES})


def _join(folder, tree, job, more=OPENED, **how):
    workdir = folder / "run"  # a site's file about all jobs lies beside it
    workdir.mkdir(parents=True, exist_ok=True)
    path = folder / "site.toml"
    path.write_text(site_toml(folder.name, tree, more=more, **how))
    return join(read_policy(path), job, workdir=workdir, limit=LIMIT)


class Hospitals:
    """Sites in memory, and what they were asked and told."""

    def __init__(self, folder, trees, job):
        self.folder, self.job = folder, job
        self.joined = {name: _join(folder / name, trees / name, job) for name in NAMES}
        self.answers, self.away, self.refused = [], set(), []

    def transport(self, asked, deadline_s):
        del deadline_s  # nobody is late
        for name in asked.keys() - self.away:
            try:
                answer = self.joined[name].worker.receive(asked[name])
            except Refused as error:
                self.refused.append(f"{name}: {error}")
                continue
            self.answers.append((name, unpack(answer, limit=LIMIT)))
            yield name, answer

    def conduct(self, fewest=2):
        sites = {name: site.declared for name, site in self.joined.items()}
        (self.folder / "server").mkdir(exist_ok=True)
        progress = Progress(self.folder / "server")
        rules = Rules(fewest, 100, LIMIT, 60)
        side = Side(agree(self.job), self.transport, sites, rules, Pace(60), progress)
        return conduct(side, folder=self.folder / "server/run")


@pytest.fixture
def three(tmp_path, hospitals, job):
    return Hospitals(tmp_path, hospitals, job)


def test_the_model_of_the_simulation_and_what_leaves(three, hospitals, tmp_path):
    snapshot = three.conduct()
    assert three.refused == []
    c = _config(tmp_path / "cache")
    c.sites = {name: f"bids({str(hospitals / name)!r})" for name in NAMES}
    with without_figures():
        run(c, tmp_path / "simulated")
    simulated = json.loads((tmp_path / "simulated/results.json").read_text())
    ours = tree_digest(dict.fromkeys(NAMES, variables_of(snapshot.best_server)))
    assert ours == simulated["variables_sha256"]["federated/repeat0-split0"]
    voxels = 10 * 12 * 10
    told = {m.envelope.kind: m for name, m in three.answers if name == "amber"}
    assert {k: len(v) for k, v in told["averaged"].vectors.items()} == {
        "covariates": 3, "total": voxels, "products": voxels,
    }  # fmt: skip
    assert {k: len(v) for k, v in told["squared"].vectors.items()} == {"squares": voxels}
    assert told["shifted"].vectors == {}
    assert all(told[kind].envelope.scalars == {} for kind in ("averaged", "squared", "shifted"))
    assert np.load(tmp_path / "amber/run/shift.npy").any()


def test_a_site_that_was_away_takes_its_own_shift_later(three, tmp_path):
    """Sums of the others, and its own, are all it needs."""
    three.away = {"cedar"}
    three.conduct()
    assert not (tmp_path / "cedar/run/shift.npy").exists()
    asked = write_voxels(*_of(three), "shift", _stored(tmp_path), nonce="late")
    three.joined["cedar"].worker.receive(asked)
    assert np.load(tmp_path / "cedar/run/shift.npy").any()


def _of(three):
    agreement = agree(three.job)
    return agreement.terms, agreement.experiment


def _first(three):
    agreement = agree(three.job)
    return agreement.experiment.algorithm.init(agreement.fresh, jnp.ones(len(NAMES)))


def _stored(folder):
    found = {}
    for name in ("voxel_means", "voxel_sigma"):
        with np.load(folder / f"server/run/{name}.npz") as stored:
            found |= {key: stored[key] for key in ("height", "slopes", "sigma") if key in stored}
    return found


def test_a_question_is_asked_once_and_in_order(three):
    worker, (terms, experiment) = three.joined["amber"].worker, _of(three)
    zero, one = (np.full(1200, value, np.float32) for value in (0, 1))
    common = {"height": zero, "slopes": zero}
    with pytest.raises(Refused, match="sums of voxels to be asked before squares"):
        worker.receive(write_voxels(terms, experiment, "spread", common, nonce="a"))
    worker.receive(write_voxels(terms, experiment, "means", {}, nonce="b"))
    first = worker.receive(write_voxels(terms, experiment, "spread", common, nonce="c"))
    again = worker.receive(write_voxels(terms, experiment, "spread", common, nonce="d"))
    squares = [unpack(answer, limit=LIMIT).vectors["squares"] for answer in (first, again)]
    np.testing.assert_array_equal(*squares)
    other = write_voxels(terms, experiment, "spread", {**common, "height": one}, nonce="e")
    with pytest.raises(Refused, match="another one: a round has one"):
        worker.receive(other)
    with pytest.raises(Refused, match="expected finite numbers"):
        write_voxels(terms, experiment, "shift", {**common, "sigma": zero + np.nan}, nonce="f")


def test_images_are_not_used_before_they_are_harmonised(three):
    worker, terms = three.joined["amber"].worker, _of(three)[0]
    assert np.isnan(worker.split.train.volumes[0]).all()
    first = write_model(terms, _first(three), nonce="x", best_round=-1)
    with pytest.raises(Refused, match="expected the sums of all sites before images are used"):
        worker.receive(first)


def test_too_few_sites_end_the_run(three):
    three.away = {"birch", "cedar"}
    with pytest.raises(ValueError, match="sums of voxels: expected answers of at least 2 sites"):
        three.conduct()


@pytest.mark.parametrize(
    ("more", "changes", "sentence"),
    [
        ("", {}, "config.harmonise: expected one that this site allows, none, got 'voxelwise'"),
        (OPENED, {"harmonise": "voxelwise('income')"}, "columns that this site opens"),
        (OPENED, {"prepare": "conform()"}, "expected config.prepare=registered"),
    ],
)
def test_a_site_refuses(more, changes, sentence, hospitals, tmp_path, job):
    job["config"] |= changes
    with pytest.raises(ValueError, match=sentence):
        _join(tmp_path / "amber", hospitals / "amber", job, more=more)


def test_two_jobs_that_differ_by_few_people_tell_once(hospitals, tmp_path, job):
    """The difference of two sums would be a few images."""
    path = tmp_path / "amber/voxel_sums.json"
    people = _join(tmp_path / "amber", hospitals / "amber", job).worker.split.train.subjects
    told = ToldPeople(path, 5)
    told.add(people)
    told.add(people)
    assert len(json.loads(path.read_text())["groups"]) == 1
    told.require(f"other{i}" for i in range(5))
    with pytest.raises(Refused, match="got a difference of 1: the two sums"):
        told.add(people[1:])
    job["config"]["splits"]["valid"] = 0.4
    with pytest.raises(Refused, match="expected the training people of an earlier job"):
        _join(tmp_path / "amber", hospitals / "amber", job)
    path.write_text("{")
    with pytest.raises(ValueError, match="voxel_sums.json: expected the people whose sums"):
        told.require(people)


def test_a_column_that_tells_of_few_people_is_refused(hospitals, tmp_path, job):
    job["config"]["harmonise"] = "voxelwise('sex')"
    with pytest.raises(Refused, match=r"people, or none, whose 'sex' is not the most frequent"):
        _join(tmp_path / "amber", hospitals / "amber", job)


def test_what_no_job_has(job):
    job["config"]["server"]["aggregator"] = "masked_mean()"
    with pytest.raises(Refused, match="config.harmonise: expected none.. under secure aggregation"):
        require_runnable(job["config"])


def test_the_person_who_approves_reads_it(job):
    job["config"] |= {"baselines": (), "describe": (), "report_by": ()}
    [first, second] = beside_in_words([job])
    assert "sums of every voxel" in first
    assert "mean image" in second


def test_a_dry_run_says_what_would_leave_before_the_first_round(hospitals, tmp_path, job):
    """The same bytes as in a run, until sums of other sites enter; nothing is told by it."""
    kit, c = tmp_path / "kit", _config(tmp_path)
    (kit / "local").mkdir(parents=True)
    (kit / "fedbrain").mkdir()
    beside = 'baselines = ["linear"]\ndescribe = ["histogram"]\n'
    more = OPENED.replace("[columns]", f"{beside}[columns]")
    text = site_toml("amber", hospitals / "amber", more=more)
    (kit / "local/site.toml").write_text(text)
    c.baselines, c.describe = ("linear('sex')",), ("histogram('target', 0, 100, 2)",)
    write_job(tmp_path / "job", c.to_dict(), "age", list(NAMES), fewest=2, deadline_s=60)
    said = dry_run(kit, tmp_path / "job", tmp_path / "bytes")
    assert "  - sums of every voxel over its training scans" in said
    kinds = [json.loads(line)["kind"] for line in said.splitlines() if line.startswith("{")]
    assert kinds == [*ANSWERS.values(), "validated", "update", "described", "summed"]
    written = {kind: (tmp_path / f"bytes.{kind}").read_bytes() for kind in kinds[:3] + kinds[5:]}
    assert all(f"bytes.{kind}: the {len(data)} bytes" in said for kind, data in written.items())
    sizes = {n: v.size for n, v in unpack(written["averaged"], limit=LIMIT).vectors.items()}
    assert sizes == {"covariates": 3, "total": 1200, "products": 1200}
    assert unpack((tmp_path / "bytes").read_bytes(), limit=LIMIT).envelope.kind == "update"
    assert list((kit / "fedbrain").iterdir()) == []
    people = _join(tmp_path / "amber", hospitals / "amber", job).worker.split.train.subjects
    ToldPeople(kit / "fedbrain/voxel_sums.json", 5).add(people[1:])
    with pytest.raises(Refused, match="expected the training people of an earlier job"):
        dry_run(kit, tmp_path / "job", tmp_path / "bytes")
