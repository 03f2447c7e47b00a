"""Linear regressions between hospitals: what a site refuses to tell, what it is asked once, names
of numbers, and earlier runs by their hash.
"""

import json

import numpy as np
import pytest

from fedbrain.analysis.least_squares import Fit, products
from fedbrain.data.dataset import Scans
from fedbrain.deploy.protocol.beside import write_beside
from fedbrain.deploy.protocol.linear import (
    fit_names,
    fit_scalars,
    linear,
    product_names,
    read_fit,
    read_linear,
    read_products,
)
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.wire import Envelope, Message, Refused
from fedbrain.deploy.server_side.exchange import Answers
from fedbrain.deploy.server_side.linear_floors import leave_out
from fedbrain.deploy.server_side.named_runs import name_runs
from fedbrain.deploy.site_side.linear_floors import LinearFloors, require_tellable
from tests.faults.in_memory import Consortium

SITES = ("amber", "birch", "cedar")
FEW = "of 'sex' is unknown|whose 'sex' is unknown or is not the most frequent value"


def _scans(values):
    names = tuple(f"sub-{k:02d}" for k in range(len(values)))
    target = np.linspace(20, 80, len(values)).astype(np.float32)
    column = np.asarray(values, np.float32)
    return Scans(names, names, target, [np.zeros(1)] * len(values), {"sex": column})


@pytest.mark.parametrize(
    ("values", "tells"),
    [
        ([0] * 10 + [1] * 10, True),
        ([0] * 19 + [1], False),  # the sum of sex times target would be her age
        ([0] * 1 + [1] * 19, False),
        ([0] * 20, True),
        ([0] * 10 + [1] * 8 + [np.nan] * 2, False),
        ([0] * 10 + [1] * 5 + [np.nan] * 5, True),
        (np.linspace(20, 80, 20), True),
    ],
)
def test_a_sum_of_few_people_is_not_told(values, tells, tmp_path):
    def require():
        require_tellable([linear("sex")], _scans(values), fewest=5, runs=tmp_path)

    if tells:
        return require()
    with pytest.raises(Refused, match=FEW):
        require()


def test_a_column_or_a_run_that_a_site_does_not_have_is_refused(tmp_path):
    with pytest.raises(Refused, match="expected a column 'age' at this site"):
        require_tellable([linear("age")], _scans([0] * 20), fewest=5, runs=tmp_path)
    with pytest.raises(Refused, match="expected a run that this site saw to its end, got aaaa"):
        require_tellable([linear(run="a" * 64)], _scans([0] * 20), fewest=5, runs=tmp_path)


def test_numbers_have_names_and_come_back():
    regressors = linear("age", "sex", run="a" * 64)
    x, y = np.random.default_rng(0).normal(size=(9, 3)), np.arange(9.0)
    told = dict(zip(product_names(regressors), products(x, y).ravel(), strict=True))
    np.testing.assert_array_equal(read_products(regressors, told), products(x, y))
    fit = Fit(np.array([1.0, 2.0, 3.0, 1 / 3]), np.array([0.1, 0.2, 0.3]))
    for found, expected in zip(read_fit(regressors, fit_scalars(regressors, fit)), fit):
        np.testing.assert_array_equal(found, expected)
    assert fit_names(linear("age")) == ("weight 1", "weight age", "mean age")


@pytest.mark.parametrize(
    ("calls", "sentence"),
    [
        (["linear('age', model='x')"], "unexpected keyword argument 'model'.*by its run's hash"),
        (["linear()"], "1 to 8 regressors"),
        (["linear('age', 'age')"], "each once"),
        (["linear('a', run='x')"], "expected a SHA-256"),
        (["linear('age')", "linear('age')"], "each regression once"),
    ],
)
def test_what_a_job_cannot_name_is_refused(calls, sentence):
    with pytest.raises(Refused, match=sentence):
        read_linear(calls)


def test_sums_without_noise_are_refused_under_differential_privacy():
    config = {"baselines": ("linear('age')",), "client": {"privacy": "dp_fedsgd(1.0, 1.0, 9.0)"}}
    with pytest.raises(Refused, match="config.baselines: .* have no noise"):
        require_runnable({**config, "splits": {}, "server": {}})


def test_a_run_is_named_by_its_hash(tmp_path):
    known = {"/runs/first/seed0": "a" * 64}
    calls = ("linear('age')", "linear('age', model='/runs/first/seed0')")
    assert name_runs(calls, known) == (calls[0], f"linear('age', run={'a' * 64!r})")
    assert name_runs(name_runs(calls, known)) == name_runs(calls, known)
    with pytest.raises(ValueError, match="expected no split between hospitals"):
        name_runs(["linear(model='x', split='repeat0-split0')"])
    (tmp_path / "config.json").write_text(json.dumps({"config": {}, "data": {}}))
    with pytest.raises(ValueError, match="expected"):
        name_runs([f"linear(model={str(tmp_path)!r})"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"1*1": 10**6}, "1*1: expected the"),
        ({"sex*target": 1e200}, "sex*target: expected a sum up to 1e+18, got 1e+200"),
    ],
)
def test_sums_that_no_site_of_these_people_has_are_left_out(scans, tmp_path, change, sentence):
    """One site would end the run, or decide the regression of all."""
    some = Consortium(scans, tmp_path, rounds=1, baselines=("linear('sex')",))
    side, names = some.side(), product_names(linear("sex"))
    told = {name: {**dict.fromkeys(names, 1.0), "1*1": side.sites[name].train} for name in SITES}
    told["amber"] |= change

    def message(name):
        scalars = {key: float(value) for key, value in told[name].items()}
        return Message(Envelope("summed", name, 0, "n", "c", "s", scalars), {})

    answers = Answers({name: message(name) for name in SITES}, {}, [])
    leave_out(side, answers)
    assert list(answers.admitted) == ["birch", "cedar"]
    assert answers.left_out["amber"].startswith(sentence)
    assert some.told[0].startswith(f"amber: {sentence}")


def test_a_regression_is_asked_for_once_and_tested_once(scans, tmp_path):
    """A server that sent another regression, or asked for sums after the end, would read more."""
    some = Consortium(scans, tmp_path, rounds=1, baselines=("linear('sex')",))
    worker = some.worker("amber")
    LinearFloors(
        worker, {some.agreement.split_id: worker.split}, home=tmp_path / "amber", runs=tmp_path
    )
    fit = {"weight 1": 50.0, "weight sex": 1.0, "mean sex": 0.5}
    test = write_beside(some.terms, "fit", 0, nonce="t", scalars=fit)
    with pytest.raises(Refused, match="expected the sums of regression 0 to be asked before"):
        worker.receive(test)
    sums = write_beside(some.terms, "sums", 0, nonce="n")
    assert worker.receive(sums) == worker.receive(sums)
    assert worker.receive(test) == worker.receive(test)
    other = write_beside(some.terms, "fit", 0, nonce="m", scalars={**fit, "weight 1": 51.0})
    with pytest.raises(Refused, match="a round has one"):
        worker.receive(other)
    with pytest.raises(Refused, match="round: expected one from 0 to 0, got 1"):
        worker.receive(write_beside(some.terms, "sums", 1, nonce="k"))
