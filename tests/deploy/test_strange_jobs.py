"""A job of any fields is refused at a site, in one line: nothing of it stops the program there, and
nothing of it writes on the page that a person reads.
"""

import copy
import json

import pytest

from fedbrain.configs import base
from fedbrain.deploy.protocol.job import require_job
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.sentences import LONGEST
from fedbrain.deploy.protocol.study import require_experiments
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.agreed import require_agreed
from fedbrain.deploy.site_side.policy import read_policy
from fedbrain.deploy.site_side.review import describe_job

TOML = """name = "amber"
approval = false
[data]
root = "/nowhere"
[targets.age]
column = "age"
[columns]
sex = "sex"
[allow]
describe = ["histogram", "classes"]
report_by = ["histogram", "classes"]
baselines = ["linear"]
"""


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "site.toml").write_text(TOML)
    return read_policy(tmp_path / "site.toml")


def _job():
    config = base.get_config()
    config.model = "adapted_sfcn(channels=(4, 8))"
    config.prepare = "conform(voxel_size_mm=18.0, shape=(10, 12, 10))"
    config.rounds, config.regimes = 7, ("federated",)
    fields = {k: v for k, v in config.to_dict().items() if k not in ("sites", "cache")}
    return json.loads(json.dumps({"config": fields, "target": "age", "sites": ["amber", "birch"]}))


def _paths(fields, before=()):
    for name, value in fields.items():
        yield (*before, name)
        if isinstance(value, dict):
            yield from _paths(value, (*before, name))


def _refuse(policy, job):
    require_job(job)
    require_runnable(job["config"])
    require_agreed(policy, job)


STRANGE = [
    *(None, 10**400, float("nan"), True, -1),
    *("", "../x", "a\nb", "fedavg(", "'" * 50, "(" * 3000, "\u202e", "x" * 100_000),
    *([], [5], [None], [[]], {}, {"a": 1}, [{"a": 1}], ["classes('sex', 0, 1)"] * 2),
]
FITS = {
    "describe",
    "report_by",
    "baselines",
    "covariates",
    "norms",
    "transforms",
    "links",
    "trusted",
}


@pytest.mark.parametrize("path", list(_paths(_job())), ids=".".join)
def test_a_field_of_any_value_is_refused_in_one_line(policy, path):
    _refuse(policy, _job())
    for value in STRANGE:
        job = copy.deepcopy(_job())
        parent = job
        for name in path[:-1]:
            parent = parent[name]
        if parent[path[-1]] == value or (value == [] and path[-1] in FITS):
            continue
        if (path[-1], value) in (("unit", ""), ("stratify", "")):
            continue
        parent[path[-1]] = value
        with pytest.raises(Refused) as error:
            _refuse(policy, job)
        assert str(error.value).isprintable(), value
        assert len(str(error.value)) <= LONGEST


@pytest.mark.parametrize(
    "written", ["fedavg()  # sends nothing", "fedavg(\n# sends nothing\n)", "fedavg(\x1b[2J)"]
)
def test_a_call_writes_nothing_else_on_the_page_of_its_reader(policy, written):
    job = _job()
    job["config"]["algorithm"] = written
    assert "plain letters in one line, without a comment" in describe_job(
        policy, job, approved=False
    )


@pytest.mark.parametrize("name", ["\u0430mber", "Amber", "amber ", "am\nber", "../amber", "a" * 64])
def test_a_site_whose_name_looks_like_another_is_refused(policy, name):
    job = {**_job(), "sites": ["amber", name]}
    with pytest.raises(Refused, match="sites: expected names of small letters"):
        _refuse(policy, job)
    with pytest.raises(Refused, match="study: first: sites: expected names of small letters"):
        require_experiments({"first": job})


@pytest.mark.parametrize(
    "change",
    [{"sites": "amber"}, {"sites": 5}, {"target": ["age"]}, {"config": []}, {"crossed": 1}],
)
def test_an_experiment_of_a_study_of_other_types_is_refused(change):
    with pytest.raises(Refused, match="study: first: "):
        require_experiments({"first": {**_job(), **change}})


def test_a_sentence_from_anywhere_is_one_line():
    assert str(Refused("a\x1b[2J\nb")) == "a?[2J?b"
    assert len(str(Refused("x" * 10**6))) == LONGEST
