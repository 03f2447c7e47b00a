"""A job on BIDS trees that only their sites know: the model is the simulated one."""

import json

import jax
import numpy as np
import pytest

from fedbrain.data.regimes import federated
from fedbrain.data.splits import split_scans
from fedbrain.deploy.protocol.job import agree, require_job
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.server_side.deadlines import Pace
from fedbrain.deploy.server_side.exchange import Rules, Side
from fedbrain.deploy.server_side.rounds import conduct
from fedbrain.deploy.server_side.status import Progress
from fedbrain.deploy.server_side.submit import write_job
from fedbrain.deploy.site_side.agreed import require_agreed
from fedbrain.deploy.site_side.join import join
from fedbrain.deploy.site_side.policy import read_policy
from fedbrain.experiments.clients import load_clients
from fedbrain.experiments.compiled import compile_experiment
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.federation import train
from tests.experiment_under_test import config
from tests.small_site import site_toml

NAMES = ("amber", "birch", "cedar")
LIMIT = 10_000_000


def _policy(folder, name, tree, minimum=3):
    path = folder / f"{name}.toml"
    path.write_text(site_toml(name, tree, subjects=minimum))
    return read_policy(path)


def _config(cache):
    c = config(cache, rounds=2, regimes=("federated",))
    c.driver, c.residence = "loop()", "streamed()"
    return c


def _job(tmp_path):
    fields = _config(tmp_path).to_dict()
    shared = {name: value for name, value in fields.items() if name not in ("sites", "cache")}
    return json.loads(
        json.dumps({"config": shared, "target": "age", "sites": NAMES})
    )  # as it comes over the network


def test_a_consortium_on_bids_trees_trains_the_simulated_model(hospitals, tmp_path):
    job, workers = _job(tmp_path), {}
    for name in NAMES:
        (tmp_path / name).mkdir()
        workers[name] = join(
            _policy(tmp_path, name, hospitals / name), job, workdir=tmp_path / name, limit=LIMIT
        )
    server = agree(job)
    assert len({w.worker.terms.config for w in workers.values()} | {server.terms.config}) == 1
    sites = {n: w.declared for n, w in workers.items()}

    def transport(asked, deadline_s):
        return ((n, workers[n].worker.receive(m)) for n, m in asked.items())

    (tmp_path / "server").mkdir()
    side = Side(
        server, transport, sites, Rules(3, 100, LIMIT, 60), Pace(60), Progress(tmp_path / "server")
    )
    state = conduct(side, folder=tmp_path / "server")

    c = _config(tmp_path / "cache")
    c.sites = {name: f"bids({str(hospitals / name)!r})" for name in NAMES}
    experiment = read_experiment(c)
    clients, _ = load_clients(experiment)
    [federation] = federated(
        {n: split_scans(s, experiment.fractions, seed=0) for n, s in clients.items()}
    )
    folder = tmp_path / "simulated"
    simulated = train(
        federation,
        experiment,
        compile_experiment(experiment),
        server.fresh,
        folder=folder,
        seed=server.seed,
        title="",
    )
    assert float(state.selection.best_loss) == float(simulated.selection.best_loss)
    best = {"params": state.best_server.params, **state.best_server.model_state}
    for a, b in zip(
        jax.tree.leaves(best), jax.tree.leaves(simulated.variables["amber"]), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_site_refuses_what_it_has_not_agreed_to(hospitals, tmp_path):
    job, policy = _job(tmp_path), _policy(tmp_path, "amber", hospitals / "amber")
    how = {"workdir": tmp_path, "limit": LIMIT}
    with pytest.raises(
        Refused, match="target: expected one that this site consents to, age, got 'sex'"
    ):
        join(policy, {**job, "target": "sex"}, **how)
    with pytest.raises(Refused, match="expected at most 8 at this site, got 64"):
        join(
            policy,
            {
                **job,
                "config": {
                    **job["config"],
                    "client": {**job["config"]["client"], "batch_size": 64},
                },
            },
            **how,
        )
    with pytest.raises(Refused, match="sites: expected amber among birch"):
        join(policy, {**job, "sites": ["birch"]}, **how)
    with pytest.raises(
        Refused, match="job: expected the fields config, sites, target, got config, target"
    ):
        join(policy, {"config": {}, "target": "age"}, **how)
    with pytest.raises(Refused, match="expected the fields of an experiment"):
        join(policy._replace(at_most={}), {**job, "config": {"seed": 0}}, **how)
    for change, sentence in (
        ({"initial": "run('x')"}, "A job names its first model by a hash"),
        ({"initial": f"sent('{'0' * 64}')"}, "expected a first model that this site accepts"),
        (
            {
                "splits": {**job["config"]["splits"], "repeats": 2},
                "initial": f"sent('{'0' * 64}')",
            },
            "expected repeats=1 and inner=1 in a job that starts from a model",
        ),
        (
            {
                "splits": {**job["config"]["splits"], "inner": 2},
                "client": {**job["config"]["client"], "privacy": "dp_fedsgd(1.0, 1.0, 1.0)"},
                "regimes": ("federated",),
            },
            "expected repeats=1 and inner=1 under config.client.privacy",
        ),
        (
            {"splits": {**job["config"]["splits"], "inner": 11}},
            "config.splits.inner: expected at most 10 at this site, got 11",
        ),
    ):
        with pytest.raises(Refused, match=sentence):
            join(policy, {**job, "config": {**job["config"], **change}}, **how)
    for name in ("memory", "disk"):
        small = policy._replace(at_most={**policy.at_most, f"{name}_gib": 1e-6})
        with pytest.raises(Refused, match=f"{name}: expected a job of at most 0.0 GiB at this"):
            join(small, job, **how)
    with pytest.raises(Refused, match="at least 50 training subjects at amber, got"):
        join(policy._replace(minimum_subjects=50), job, **how)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 3}, "job: expected version 2, got 3"),
        ({"code": "print(1)"}, "job: expected the fields config, sites, target, got code"),
        ({"sites": ["amber", "amber"]}, "sites: expected the names of sites, each once"),
        ({"sites": "amber"}, "sites: expected the names of sites"),
        ({"target": 3}, "job: expected fields of an experiment and the name of a target"),
        ({"config": []}, "job: expected fields of an experiment"),
        ({"crossed": 1}, "crossed: expected true or no such field, got 1"),
        ({"crossed": True}, "crossed: expected a job with one split and the regime 'local'"),
    ],
)
def test_a_job_of_another_kind_or_version_is_refused(tmp_path, change, sentence):
    with pytest.raises(Refused, match=sentence):
        require_job({**_job(tmp_path), **change})


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("describe", ["classes('sex', 0, 1)"], "config.describe: .* allows, none, got 'classes'"),
        ("report_by", ["classes('sex', 0, 1)"], "config.report_by: .* allows, none, got 'classes'"),
        ("baselines", ["linear('sex')"], "config.baselines: .* allows, none, got 'linear'"),
    ],
)
def test_what_a_site_does_not_open_is_refused_before_a_scan_is_read(
    tmp_path, field, value, sentence
):
    job = _job(tmp_path)
    job["config"][field] = value
    policy = _policy(tmp_path, "amber", tmp_path / "nowhere")
    with pytest.raises(Refused, match=sentence):
        join(policy, job, workdir=tmp_path, limit=LIMIT)


def test_a_site_lends_its_own_model_only_where_it_says_so(tmp_path):
    job = _job(tmp_path) | {"crossed": True}
    job["config"]["regimes"] = ["federated", "local"]
    policy = _policy(tmp_path, "amber", tmp_path / "nowhere")
    with pytest.raises(Refused, match="crossed: expected a job without it, since this site"):
        join(policy, job, workdir=tmp_path, limit=LIMIT)
    assert "bids(" in require_agreed(policy._replace(crossed=True), job)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"regimes": ("federated", "centralised")}, "'centralised', which would bring all scans"),
        (
            {"regimes": ("federated", "leave_one_site_out")},
            "'leave_one_site_out', which tests a model at a site that does not train it. Leave",
        ),
        ({"regimes": ("local",)}, "config.regimes: expected 'federated', .* got no 'federated'"),
        ({"partition": "by_target(5, 0.5)"}, "config.partition: expected by_site\\(\\), since"),
        ({"loss": "cross_entropy(2)"}, "config.loss: expected l1\\(\\) or .* numbers, not classes"),
        ({"driver": "vmap()"}, "config.driver: expected auto\\(\\) or loop\\(\\), since a site"),
        ({"residence": "resident()"}, "config.residence: expected auto\\(\\) or streamed"),
    ],
)
def test_what_cannot_run_between_hospitals_is_refused_with_its_reason(tmp_path, change, sentence):
    with pytest.raises(Refused, match=sentence):
        require_runnable({**_config(tmp_path).to_dict(), **change})


def test_a_rule_that_is_not_defined_for_so_many_sites_is_refused_too(tmp_path):
    config = _config(tmp_path)
    config.server.aggregator = "krum(num_byzantine=1)"
    with pytest.raises(ValueError, match="not defined for 3 clients; it needs 5 or more"):
        write_job(tmp_path / "job", config.to_dict(), "age", list(NAMES), fewest=3, deadline_s=60)
    assert not (tmp_path / "job").exists()
    names = [*NAMES, "dover", "exeter"]
    write_job(tmp_path / "job", config.to_dict(), "age", names, fewest=3, deadline_s=60)
