"""Validation examples of small problems: from training examples alone, and nobody trains on one."""

import numpy as np
import pytest

from fedbrain.data.problems import PROBLEMS
from fedbrain.data.validation import validation_problem
from fedbrain.experiments.spec import call

SPECS = (
    "digits(clients=9, attackers=3, similarity=0.3)",
    "breast_cancer(clients=3)",
    "synthetic(clients=5)",
)


def rows(examples):
    """Examples that can be told from each other, as often as they occur."""
    x, y = examples
    return sorted(row.tobytes() + label.tobytes() for row, label in zip(x, y))


@pytest.mark.parametrize("spec", SPECS)
def test_they_are_training_examples_and_nobody_trains_on_them(spec):
    problem = call(spec, PROBLEMS)(0)
    tuned = validation_problem(problem, 0, parts=5)
    everybodys = {row for c in tuned.drawn.values() for row in rows(c.train)}
    tested = {row for c in problem.drawn.values() for row in rows(c.test)}
    for name, client in tuned.drawn.items():
        held = rows(client.test)
        assert not everybodys & set(held)
        assert not tested & set(held)
        if not problem.one_test:
            assert sorted([*held, *rows(client.train)]) == rows(problem.drawn[name].train)
            assert len(held) == -(-len(problem.drawn[name].train[1]) // 5)


def test_attackers_hold_out_nothing_and_have_no_copies():
    problem = call(SPECS[0], PROBLEMS)(1)
    tuned = validation_problem(problem, 1, parts=5)
    names = sorted(tuned.drawn)
    common = rows(tuned.drawn[names[0]].test)
    assert all(rows(tuned.drawn[name].test) == common for name in names)
    honest = [len(problem.drawn[n].train[1]) - len(tuned.drawn[n].train[1]) for n in names[:6]]
    assert sum(honest) == len(common)
    for name in names[6:]:
        left = set(rows(problem.drawn[name].train)) - set(common)
        assert set(rows(tuned.drawn[name].train)) == left


def test_features_are_made_comparable_by_what_is_left():
    tuned = validation_problem(call("breast_cancer(clients=3)", PROBLEMS)(0), 0, parts=4)
    features = np.concatenate([c.train[0] for c in tuned.clients.values()]).astype(np.float64)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(features.std(0), 1, atol=1e-5)


def test_a_client_of_few_examples_is_named():
    problem = call("breast_cancer(clients=3)", PROBLEMS)(0)
    few = problem.drawn["c1"]
    short = few._replace(train=(few.train[0][:3], few.train[1][:3]))
    problem = problem._replace(drawn={**problem.drawn, "c1": short})
    with pytest.raises(ValueError, match=r"config.tune.parts: .* got 4, and c1 has 3\.$"):
        validation_problem(problem, 0, parts=4)
