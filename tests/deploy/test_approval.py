"""A person at the site approves a job by its hash; until then it only waits."""

import json
import re

import pytest

from fedbrain.configs import base
from fedbrain.deploy.protocol.job import VERSION, job_hash
from fedbrain.deploy.server_side.submit import write_job
from fedbrain.deploy.site_side.approval import (
    LARGEST,
    MOST,
    NotApproved,
    approve,
    keep_waiting,
    require_approval,
    waiting,
)
from fedbrain.deploy.site_side.join import join
from fedbrain.deploy.site_side.policy import read_policy
from fedbrain.deploy.site_side.review import review

TOML = """name = "amber"
[data]
root = "/nowhere"
[targets.age]
column = "age_at_scan"
"""


@pytest.fixture
def kit(tmp_path):
    (tmp_path / "kit/local").mkdir(parents=True)
    (tmp_path / "kit/local/site.toml").write_text(TOML)
    return tmp_path / "kit"


def _job(**changes):
    config = base.get_config()
    config.model = "adapted_sfcn(channels=(4, 8))"
    config.prepare = "conform(voxel_size_mm=18.0, shape=(10, 12, 10))"
    config.rounds, config.regimes = 7, ("federated",)
    fields = {k: v for k, v in config.to_dict().items() if k not in ("sites", "cache")}
    job = {"version": VERSION, "config": {**fields, **changes}, "target": "age", "sites": ["amber"]}
    return json.loads(json.dumps(job))


def _policy(kit):
    return read_policy(kit / "local/site.toml")


def test_a_job_that_nobody_approved_waits_and_runs_after_it_was(kit, tmp_path):
    job, how = _job(), {"workdir": tmp_path, "limit": 1 << 20}
    with pytest.raises(NotApproved, match="expected one that a person at this site has approved"):
        join(_policy(kit), job, **how)
    keep_waiting(kit, job)
    text = review(kit)
    assert f"Job {job_hash(job)}\nNot approved." in text
    assert "8 sums of validation losses" in text
    assert "age (column 'age_at_scan')" in text
    assert "  client.batch_size = 8\n" in text
    assert "Approved" in approve(kit, job_hash(job))
    assert review(kit) == "No job waits."
    require_approval(_policy(kit).approved, job)
    with pytest.raises(ValueError, match="/nowhere"):  # the next step: it reads the data
        join(_policy(kit), job, **how)


@pytest.mark.parametrize(
    "change",
    [{"rounds": 8}, {"loss": "l2()"}, {"client": {**_job()["config"]["client"], "epochs": 2}}],
)
def test_another_job_is_another_hash(kit, change):
    keep_waiting(kit, _job())
    approve(kit, job_hash(_job()))
    with pytest.raises(NotApproved):
        require_approval(_policy(kit).approved, _job(**change))
    for field, value in {"target": "sex", "sites": ["amber", "birch"]}.items():
        with pytest.raises(NotApproved):
            require_approval(_policy(kit).approved, {**_job(), field: value})


def test_a_job_of_a_folder_is_reviewed_and_approved_before_it_comes(kit, tmp_path):
    config = {**_job()["config"]}
    write_job(tmp_path / "job", config, "age", ["amber"], fewest=1, deadline_s=60)
    [hash] = waiting(kit, tmp_path / "job")
    assert hash == job_hash(_job())
    assert "Not approved" in review(kit, tmp_path / "job")
    approve(kit, hash, tmp_path / "job")
    assert "Approved." in review(kit, tmp_path / "job")
    with pytest.raises(ValueError, match="expected the folder of a job"):
        waiting(kit, tmp_path)


def test_review_says_what_the_site_refuses_and_only_a_known_hash_is_approved(kit):
    keep_waiting(kit, _job(algorithm="mimelite()"))
    assert "This site refuses it: config.algorithm: expected one that this site" in review(kit)
    with pytest.raises(ValueError, match="--hash: expected the hash of a job that waits"):
        approve(kit, "0" * 64)


@pytest.mark.parametrize(
    ("toml", "change", "sentence"),
    [
        (
            "",
            {"initial": f"sent('{'a' * 64}')"},
            f"first model that this site accepts .*{'a' * 64}",
        ),
        ("[privacy]\nepsilon_at_most = 3.0\n", {}, "config.client.privacy: expected dp_fedsgd"),
    ],
)
def test_review_says_what_joining_would_refuse(kit, toml, change, sentence):
    """Who approves a job in vain learns of it from the centre, when the run has ended."""
    (kit / "local/site.toml").write_text(TOML + toml)
    keep_waiting(kit, _job(**change))
    assert re.search(f"This site refuses it: .*{sentence}", review(kit))


def test_jobs_that_wait_do_not_fill_the_disk_and_the_newest_is_among_them(kit):
    with pytest.raises(NotApproved, match="expected at most 1,048,576 bytes"):
        keep_waiting(kit, _job(unit="x" * LARGEST))
    assert waiting(kit) == {}
    for k in range(MOST + 3):
        keep_waiting(kit, _job(seed=k))
        assert job_hash(_job(seed=k)) in waiting(kit)
    assert len(waiting(kit)) == MOST
    keep_waiting(kit, _job(seed=3))  # the oldest that is left came again
    keep_waiting(kit, _job(seed=MOST + 3))
    assert job_hash(_job(seed=3)) in waiting(kit)


def test_a_damaged_list_of_approvals_is_an_error(kit):
    (kit / "local/approved.json").write_text("[")
    with pytest.raises(ValueError, match=r"approved.json: expected hashes of jobs"):
        _policy(kit)
