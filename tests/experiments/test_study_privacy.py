"""The epsilon of a study against numerical integration, what voids it, and the table with it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedbrain.algorithms.quadratic import quadratic_algorithm
from fedbrain.analysis.gaussian_privacy import mu_of
from fedbrain.analysis.study_table import rows_of
from fedbrain.configs import base, private_study
from fedbrain.data.problems import PROBLEMS
from fedbrain.experiments.compare import scores_of
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.spec import call
from fedbrain.experiments.study import cells, draw_problems
from fedbrain.experiments.study_choices import require_readable
from fedbrain.experiments.study_privacy import (
    require_private_study,
    spent,
    spent_by_all,
)
from fedbrain.experiments.study_results import results_of
from fedbrain.training.clocks import Work, in_turn
from fedbrain.training.in_memory import Clients, Plan, make_client, make_loss
from fedbrain.types import Update
from tests.experiments.test_study import small

FIXED = "dp_fedavg(expected=10, clip_norm=1.0, noise_multiplier=4.0, delta_dp=1e-2)"


def private(rule=FIXED, **more):
    config = small(**{"seeds": 1, "rounds": 4, "every": 4, "methods": {"private": {}}} | more)
    del config.methods["FedAvg"]
    config.problem, config.loss = "digits_in_range(clients=10)", "cross_entropy(10)"
    config.server.aggregator = rule
    return config


def delta_by_integration(mu, epsilon):
    """Integral of the part of N(mu, 1) that is above e^epsilon times N(0, 1)."""
    x = np.linspace(-12, 12 + mu, 400_001)
    p, q = (np.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (mu, 0.0))
    return np.maximum(p - math.exp(epsilon) * q, 0).sum() * (x[1] - x[0])


@pytest.mark.parametrize(
    ("rule", "more", "moved"),
    [
        (FIXED, {}, math.sqrt(4) / 4),
        (FIXED, {"clock": "in_turn()", "cohort": 5}, math.sqrt(2) / 4),
        (FIXED, {"cohort": 5}, math.sqrt(4) / 4),  # drawn at random: nothing is credited
        (FIXED, {"drop_out": 0.5}, math.sqrt(4) / 4),
        (
            "dp_fedavg_adaptive(10, noise_multiplier=4.0, count_noise=3.0, delta_dp=1e-2)",
            {},
            2 * math.sqrt((1 / 4**2 - 1 / 6**2) + 1 / (2 * 3.0) ** 2),  # of sum and of count
        ),
        (FIXED.replace("dp_fedavg", "dp_ftrl"), {}, math.sqrt(1 + 1 + 2**2 + 4**2) / 4),
        (
            FIXED.replace("dp_fedavg", "dp_ftrl").replace("delta", "restart_every=2, delta"),
            {},
            math.sqrt(2 * (1 + 2**2)) / 4,
        ),
        (
            FIXED.replace("dp_fedavg", "dp_ftrl"),
            {"clock": "in_turn()", "cohort": 5},
            math.sqrt(1 + 1 + 1**2 + 2**2) / 4,  # rounds 1 and 3
        ),
    ],
)
def test_epsilon_is_the_one_whose_delta_comes_out_of_an_integral(rule, more, moved):
    told = spent(next(cells(private(rule, **more))).config, 10)
    assert told.mu == pytest.approx(moved, rel=1e-9)
    assert delta_by_integration(moved, told.epsilon) == pytest.approx(1e-2, rel=1e-5)


def test_no_noise_is_no_bound_and_other_rules_claim_nothing():
    assert spent(private(FIXED.replace("4.0", "0.0")), 10).epsilon == math.inf
    assert spent(private("uniform_mean()"), 10) is None


REFUSED = {
    "features of all clients": ({"problem": "digits(clients=10)"}, "config.problem: expected one"),
    "everything in one place": ({"regime": "centralised"}, "config.regime: expected federated"),
    "each alone": ({"regime": "local"}, "config.regime: expected federated"),
    "labels of others": ({"label_flip": 1}, "config.label_flip: expected 0"),
    "chosen by loss": ({"clock": "power_of_choice(10)"}, r"config.clock: expected rounds\(\) or"),
    "twice in a round": ({"clock": "buffered(3)"}, r"config.clock: expected rounds\(\) or"),
    "mixed with others": (
        {"server": {"links": ("bucketing(2)",)}},
        "config.server.links: expected none but clip_by_client_norm and clip_by_layer_norm",
    ),
    "an attacker who looks": (
        {"attack": ("inner_product_manipulation(1)",)},
        "config.server.links: expected none but",
    ),
    "control variates": ({"algorithm": "scaffold()"}, "config.algorithm: expected one that sends"),
    "Mime's gradients": ({"algorithm": "mime()"}, "config.algorithm: expected one that sends"),
    "weights by examples": ({"algorithm": "feddyn(0.1)"}, "config.algorithm: .* by examples"),
    "Fisher weights": ({"algorithm": "report_fisher()"}, "config.algorithm: expected one that"),
    "reported losses": ({"algorithm": "report_global_loss()"}, "config.algorithm: expected one"),
    "examples of the server": (
        {"server": {"trusted": ("c000",)}},
        "config.server.trusted: expected none",
    ),
    "local models of the server": (
        {"server": {"trusted": ("c000",), "refine": "feddf()"}},
        "config.server.trusted: expected none",
    ),
    "settings tried": (
        {"tune": {"trials": 2, "fields": {"client": {"optimizer": ("sgd(0.1)", "sgd(0.2)")}}}},
        "config.tune.trials: expected 0",
    ),
    "methods chosen": ({"choices": {"own": ("private",)}}, "config.choices: expected none"),
    "a delta that lets one go": (
        {"server": {"aggregator": FIXED.replace("1e-2", "0.1")}},
        "delta_dp below 1 / 10, the number of clients, got 0.1",
    ),
    "turns that do not fit": ({"clock": "in_turn()", "cohort": 3}, "config.cohort: expected a di"),
    "no clients": (
        {"server": {"aggregator": "dp_fedavg(0, 1.0, 1.0)"}},
        "Expected expected=0 >= 1",
    ),
    "a tree of no rounds": (
        {"server": {"aggregator": "dp_ftrl(10, 1.0, 1.0, restart_every=0)"}},
        "Expected 1 <= restart_every=0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_voids_the_guarantee_is_refused_before_the_work(name):
    fields, sentence = REFUSED[name]
    config = private()
    config.update(fields)
    with pytest.raises(ValueError, match=sentence) as told:
        require_readable(config, draw_problems(config)[0])
    assert "\n" not in str(told.value)


def test_batch_statistics_are_refused():
    """No network of a study has them; whatever else an algorithm uploads is refused alike."""
    config, problem = private(), draw_problems(private())[0]
    sent = Update(jnp.zeros(2), {}, jnp.ones(()), {}, ())
    statistics = sent._replace(model_state={"batch_stats": {"mean": jnp.zeros(2)}})
    plan = Plan(4, 1, np.ones(10, int), 10, 0.0, 4)
    require_private_study(config, problem, plan, sent)
    with pytest.raises(ValueError, match="config.model: expected a network without shared batch"):
        require_private_study(config, problem, plan, statistics)
    with pytest.raises(ValueError, match="config.algorithm: expected one that sends updates alone"):
        require_private_study(config, problem, plan, sent._replace(extra=jnp.zeros(2)))


def test_what_is_as_private_is_not_refused():
    for fields in (
        {"algorithm": "fedsam(0.05)", "client": {"upload": "int8()"}},
        {"server": {"links": ("clip_by_layer_norm(1.0)",), "optimizer": "fedadam(0.01)"}},
        {"clock": "in_turn()", "cohort": 5, "drop_out": 0.2},
    ):
        config = private()
        config.update(fields)
        require_readable(config, draw_problems(config)[0])


def test_an_experiment_with_a_private_rule_is_refused():
    config = base.get_config()
    config.server.aggregator = "dp_ftrl(3, 1.0, 1.0)"
    with pytest.raises(ValueError, match=r"^config.server.aggregator: .* in an experiment"):
        read_experiment(config)


def test_the_table_tells_epsilon_beside_the_score(tmp_path):
    methods = {"private": {}, "mean": {"server": {"aggregator": "weighted_mean()"}}}
    config = private(methods=methods)
    problems = draw_problems(config)
    measured, tuning = scores_of(config, problems, [], tmp_path)
    lines = results_of(config, measured, problems[0], tuning).lines
    (told,) = spent_by_all(list(cells(config)), 10).values()
    head, *rows = rows_of(lines, "accuracy")
    column = {row[1]: row[head.index("epsilon at delta")] for row in rows}
    assert column == {
        "private": f"{told.epsilon:.2f} at 0.01",
        "mean": "no bound",
        "floor: a constant": "no bound",
    }


def test_clients_take_turns():
    clients, cohort = 6, 2
    data = Clients(*(jnp.zeros((clients, 1, *shape)) for shape in ((1,), (), ())))
    plan = Plan(6, 1, np.ones(clients, int), cohort, 0.0, 1)
    draw = in_turn().collect.args[0]

    algorithm, seen = quadratic_algorithm(), []
    server = algorithm.init({"params": {"w": jnp.zeros(1)}}, jnp.ones(clients))
    client, loss = make_client(algorithm, plan), make_loss(algorithm)
    work = Work(client, data, jnp.ones(clients, int), plan, jax.random.key(3), loss)
    for number in range(6):
        now = server._replace(round=jnp.asarray(number))
        seen.append(draw(work, now, (), jax.random.key(number)).tolist())
    assert sorted(np.concatenate(seen[:3]).tolist()) == list(range(clients))
    assert seen[3:] == seen[:3]


def test_features_in_their_range_are_those_of_one_client():
    """Whoever else is there: without its first client the others have the same features."""
    problem = call("digits_in_range(clients=4)", PROBLEMS)(0)
    assert problem.finish(problem.drawn) is problem.drawn
    x = np.concatenate([c.train[0] for c in problem.clients.values()])
    assert x.min() == 0
    assert x.max() == 1


@pytest.mark.parametrize("clients", private_study.MU)
def test_the_study_has_the_epsilons_that_it_names(clients):
    for epsilon, mu in private_study.MU[clients].items():
        assert mu == pytest.approx(mu_of(float(epsilon), 0.1 / clients), abs=1e-4)
    for cell in cells(private_study.get_config(str(clients))):
        told, named = spent(cell.config, clients), cell.method.rpartition("epsilon ")[2]
        if named.isdigit():
            assert told.epsilon == pytest.approx(int(named), rel=2e-3)
            assert told.epsilon <= int(named)
        else:
            assert told is None or told.epsilon == math.inf
