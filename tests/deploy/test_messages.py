"""A round over bytes has the bits of a simulated one, for algorithms with and without memory at
either end.
"""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from fedbrain.aggregators.contribution import fedce
from fedbrain.aggregators.mean import weighted_mean
from fedbrain.aggregators.order_statistics import median
from fedbrain.algorithms.compression import int8_with_feedback
from fedbrain.algorithms.fedacg import fedacg
from fedbrain.algorithms.fedadmm import fedadmm
from fedbrain.algorithms.feddc import feddc
from fedbrain.algorithms.fedlesam import fedlesam
from fedbrain.algorithms.left_out import report_left_out_loss
from fedbrain.algorithms.moon import moon
from fedbrain.algorithms.scaffold import scaffold
from fedbrain.algorithms.server_optimizers import fedadam
from fedbrain.algorithms.sharing import Sharing, without_batch_norm
from fedbrain.deploy.protocol.answers import write_update
from fedbrain.deploy.protocol.gate import Question, admit
from fedbrain.deploy.protocol.questions import read_model, write_model, write_training_order
from fedbrain.deploy.protocol.terms import make_terms
from fedbrain.deploy.protocol.wire import Refused, schema, unpack
from fedbrain.deploy.server_side.cohort import make_aggregate, read_answers, reduce_rows
from fedbrain.training.device_volumes import fetch
from fedbrain.training.maps import loop
from fedbrain.training.round import make_round
from fedbrain.types import Task, Update
from tests import tiny

NAMES = ("amber", "birch", "cedar")
ALGORITHMS = {
    "FedAvg": {},
    "median, FedAdam": {"aggregator": median(), "server_optimizer": fedadam(0.03)},
    "SCAFFOLD": {"variant": scaffold()},
    "FedACG": {"variant": fedacg()},
    "FedDC": {"variant": feddc()},
    "FedADMM": {"variant": fedadmm()},
    "MOON": {"variant": moon()},
    "FedLESAM": {"variant": fedlesam(rho=1.0)},
    "FedCE": {"variant": report_left_out_loss(), "aggregator": fedce(clients=3)},
    "FedBN": {"sharing": Sharing(without_batch_norm())},
    "int8 with feedback": {"upload": int8_with_feedback()},
}
LIMIT = 10_000_000


def _equal(a, b):
    return all(
        np.array_equal(x, y, equal_nan=True)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_round_over_bytes_is_the_simulated_round(name):
    algorithm = tiny.algorithm(tiny.task(), optax.sgd(1e-2), **ALGORITHMS[name])
    variables = tiny.variables(tiny.task())
    run_round = make_round(algorithm, loop())
    terms = make_terms(algorithm, variables, tiny.example(), sites=3, config="c")
    train, aggregate = (
        loop()(algorithm.local, partial(fetch, turns=False)),
        make_aggregate(algorithm),
    )
    first = algorithm.init(variables, jax.numpy.ones(3))
    simulated, remote, own = first, first, {n: algorithm.init_client(variables) for n in NAMES}
    states = [own[n] for n in NAMES]
    for number in range(2):
        cohort = [
            c._replace(state=s)
            for c, s in zip(tiny.cohort(algorithm, variables, round=number, names=NAMES), states)
        ]
        simulated, states, _ = run_round(simulated, cohort, tiny.example())
        model, taken = unpack(write_model(terms, remote, nonce="m", best_round=-1), limit=LIMIT), {}
        order = unpack(
            write_training_order(terms, remote, nonce=f"n{number}"), limit=LIMIT
        ).envelope
        question = Question(
            "update", number, f"n{number}", "c", schema(terms.answer), {"weight": 1000.0}, LIMIT
        )
        for client in tiny.cohort(algorithm, variables, round=number, names=NAMES):
            scale = jax.numpy.float32(order.scalars["learning_rate_scale"])
            broadcast = read_model(terms, model, first)._replace(learning_rate_scale=scale)
            update, [own[client.name]] = train(
                broadcast, [client._replace(state=own[client.name])], tiny.example()
            )
            sent = write_update(terms, order, client.name, update)
            taken[client.name] = admit(
                client.name, sent, dict.fromkeys(NAMES, question), set(taken)
            )
        remote, _ = aggregate(remote, *read_answers(terms, taken), NAMES)
        assert _equal(remote, simulated)
        assert _equal([own[n] for n in NAMES], states)


@pytest.mark.parametrize("rule", [weighted_mean(), median()], ids=["mean", "median"])
def test_a_cohort_is_in_memory_once(rule):
    """The server's program needs no second matrix of eight models."""
    sites, numbers = 8, 500_000
    params = {"w": jax.numpy.zeros(numbers)}
    algorithm = tiny.algorithm(Task(lambda *a: params, None, None), aggregator=rule)
    state = algorithm.init({"params": params}, jax.numpy.ones(sites))
    rows = jax.ShapeDtypeStruct((sites, numbers), np.float32)
    each = jax.ShapeDtypeStruct((sites,), np.float32)
    names = ("loss", "count", "examples", "steps", "trusted")
    rest = Update(
        jax.ShapeDtypeStruct((sites, 0), np.float32), {}, each, dict.fromkeys(names, each), ()
    )
    program = reduce_rows.lower(algorithm, state, rows, rest).compile()
    memory = program.memory_analysis()
    assert memory.temp_size_in_bytes < 2 * 4 * numbers


def test_another_experiment_is_refused_by_the_site():
    algorithm, variables = tiny.algorithm(tiny.task()), tiny.variables(tiny.task())
    state = algorithm.init(variables, jax.numpy.ones(3))
    terms = make_terms(algorithm, variables, tiny.example(), sites=3, config="c")
    asked = unpack(write_model(terms, state, nonce="n", best_round=-1), limit=LIMIT)
    with pytest.raises(Refused, match="config: expected 'mine', got 'c'"):
        read_model(terms._replace(config="mine"), asked)
    other = tiny.task(channels=(4, 16))
    others = make_terms(
        tiny.algorithm(other), tiny.variables(other), tiny.example(), sites=3, config="c"
    )
    with pytest.raises(Refused, match="schema: expected"):
        read_model(others, asked)


def test_what_is_not_finite_is_not_sent():
    algorithm, variables = tiny.algorithm(tiny.task(), optax.sgd(1e30)), tiny.variables(tiny.task())
    terms = make_terms(algorithm, variables, tiny.example(), sites=3, config="c")
    train = loop()(algorithm.local, partial(fetch, turns=False))
    client = tiny.cohort(algorithm, variables, names=NAMES)[0]
    asked = unpack(
        write_model(terms, algorithm.init(variables, jax.numpy.ones(3)), nonce="n", best_round=-1),
        limit=LIMIT,
    )
    update, _ = train(read_model(terms, asked), [client], tiny.example())
    with pytest.raises(Refused, match="so nothing is sent. Lower the learning rate"):
        write_update(terms, asked.envelope, "amber", update)
