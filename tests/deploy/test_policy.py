"""A site's own file decides what runs there; what it does not allow is refused in a sentence."""

import pytest

from fedbrain.configs import base
from fedbrain.data.sites import SITES
from fedbrain.deploy.protocol.config_hash import config_hash
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.policy import consent, read_policy, require_subjects
from fedbrain.experiments.spec import choose

FILE = """
name = "brussels"
minimum_subjects = 20

[data]
root = "/data/brussels"
pipeline = "hdbet"

[targets.age]
column = "age_at_scan"

[columns]
sex = "gender"

[allow]
model = ["densenet121", "adapted_sfcn"]
"client.transforms" = ["add_proximal_term"]

[at_most]
"client.batch_size" = 8
rounds = 200
"""


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(FILE)
    return read_policy(path)


def _job():
    config = base.get_config().to_dict()
    return {name: value for name, value in config.items() if name not in ("sites", "cache")}


def test_a_job_runs_on_the_sites_own_data(policy):
    job = {**_job(), "covariates": ("scaled('sex', centre=0.5)",)}
    spec = consent(policy, job, "age")
    assert (
        spec == "bids('/data/brussels', label='age_at_scan', pattern='T1w', pipeline='hdbet',"
        " columns={'sex': 'gender'})"
    )
    assert callable(choose("sites.brussels", spec, SITES))
    require_subjects(policy, 20)


@pytest.mark.parametrize(
    ("change", "target", "sentence"),
    [
        ({}, "sdmt", "target: expected one that this site consents to, age, got 'sdmt'"),
        ({"sites": {"x": "bids('/etc')"}}, "age", "config.sites: expected none in a job"),
        ({"cache": "/tmp"}, "age", "config.cache: expected none in a job"),
        (
            {"model": "sfcn()"},
            "age",
            (
                "config.model: expected one that this site allows, densenet121, adapted_sfcn, got"
                " 'sfcn'"
            ),
        ),
        ({"model": "__import__('os')"}, "age", "got '__import__'"),
        ({"model": "a.b(1)"}, "age", "got 'a.b\\(1\\)'"),
        ({"model": "("}, "age", "got '\\('"),
        ({"rounds": 201}, "age", "config.rounds: expected at most 200 at this site, got 201"),
        ({"rounds": True}, "age", "config.rounds: expected at most 200 at this site, got True"),
        (
            {"rounds": float("nan")},
            "age",
            "config.rounds: expected at most 200 at this site, got nan",
        ),
        (
            {"client": {"transforms": ()}},
            "age",
            "config.client.batch_size: expected a value, since this site limits it",
        ),
        (
            {"covariates": ("scaled(",)},
            "age",
            "config.covariates: expected a call, got 'scaled\\('",
        ),
        (
            {"covariates": ("scaled('age')",)},
            "age",
            "config.covariates: expected columns that this site opens, \\['sex'\\]",
        ),
    ],
)
def test_what_the_site_does_not_allow_is_refused(policy, change, target, sentence):
    with pytest.raises(Refused, match=sentence):
        consent(policy, {**_job(), **change}, target)


def test_too_few_people_are_refused(policy):
    with pytest.raises(Refused, match="at least 20 training subjects at brussels, got 19"):
        require_subjects(policy, 19)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('name = "brussels"', "", "expected name, got none"),
        ('name = "brussels"', "name = 3", "name: expected str, got int"),
        ("minimum_subjects = 20", "minimum_subject = 20", "expected one of name, minimum_subjects"),
        ('root = "/data/brussels"', "", "expected \\[data\\] root, got none"),
        ('column = "age_at_scan"', "", "expected \\[targets.age\\] column, got none"),
        ("[data]", "[data", "expected a TOML file"),
        ('pipeline = "hdbet"', "pipeline = 1", "\\[data\\] pipeline: expected str, got int"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(tmp_path, before, after, sentence):
    path = tmp_path / "site.toml"
    path.write_text(FILE.replace(before, after))
    with pytest.raises(ValueError, match=sentence):
        read_policy(path)


def test_the_hash_of_a_configuration_ignores_what_is_the_sites_own():
    job = _job()
    assert config_hash(job) == config_hash(
        {**job, "sites": {"a": "bids('/data')"}, "cache": "/elsewhere"}
    )
    assert config_hash(job) == config_hash(dict(reversed(job.items())))
    assert config_hash(job) != config_hash({**job, "rounds": 99})
