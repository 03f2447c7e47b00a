"""A whole run over messages has the bits of the simulated one, whatever dies in between; too few
sites end it in words.
"""

import jax
import numpy as np
import pytest

from fedbrain.deploy.protocol.answers import write_validation
from fedbrain.deploy.protocol.questions import write_training_order
from fedbrain.deploy.protocol.wire import Refused, pack, unpack
from tests.faults.in_memory import LIMIT, RULES, Consortium

KINDS = {
    "FedAvg": {},
    "SCAFFOLD with FedBN": {"algorithm": "scaffold()", "sharing": "without_batch_norm()"},
}


def _equal(a, b):
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.fixture(scope="module", params=KINDS)
def runs(request, scans, tmp_path_factory):
    """(folder, kind, the simulated run, the undisturbed run)."""
    folder = tmp_path_factory.mktemp("deploy")
    whole = Consortium(scans, folder / "whole", **KINDS[request.param])
    return folder, KINDS[request.param], whole.simulated(), (whole, whole.run())


def test_a_run_over_messages_is_the_simulated_run(runs):
    _, _, simulated, (whole, state) = runs
    assert float(state.selection.best_loss) == float(simulated.selection.best_loss)
    assert float(state.selection.learning_rate_scale) == float(
        simulated.selection.learning_rate_scale
    )
    assert int(state.selection.best_round) == int(simulated.selection.best_round) >= 2
    for name, variables in simulated.variables.items():
        assert _equal(variables, whole.models(state)[name])
    assert not whole.refused


@pytest.mark.parametrize("dies", ["in training", "in validation", "server and sites"])
def test_a_run_that_was_broken_off_ends_in_the_same_bits(runs, scans, dies):
    folder, kind, _, (_, undisturbed) = runs
    broken, calls = Consortium(scans, folder / dies.replace(" ", "_"), **kind), []

    def once(messages, deadline_s):
        calls.append(1)  # model, train, model, train, ...
        for k, answer in enumerate(broken.transport(messages)):
            if (
                len(calls) == {"in training": 4, "in validation": 5, "server and sites": 4}[dies]
                and k == 1
            ):
                raise ConnectionError("cut")
            yield answer

    with pytest.raises(ConnectionError):
        broken.run(once)
    if dies == "server and sites":
        for worker in broken.workers.values():
            worker.close()
        broken.workers.clear()
    state = broken.run()
    assert _equal(state, undisturbed)


def test_a_site_that_does_not_answer_is_told_of_and_too_few_end_the_run_in_words(
    runs, scans, tmp_path
):
    _, kind, *_ = runs
    some = Consortium(scans, tmp_path, **kind)

    def without(messages, deadline_s):
        return ((name, data) for name, data in some.transport(messages) if name != "birch")

    with pytest.raises(
        ValueError, match="at least 3 sites, got 2. birch: no answer before the deadline"
    ):
        some.run(without)
    state = some.run(without, RULES._replace(fewest=2))
    assert int(state.server.round) == 3
    assert (
        '"birch": "no answer before the deadline"'
        in (tmp_path / "server/metrics.jsonl").read_text()
    )


def test_an_answer_of_another_length_or_without_its_loss_is_left_out_alone(runs, scans, tmp_path):
    _, kind, *_ = runs
    some = Consortium(scans, tmp_path, **kind)

    def lying(messages, deadline_s):
        for name, data in some.transport(messages):
            if name == "birch":
                envelope, vectors = unpack(data, limit=LIMIT)
                if envelope.kind == "validated":
                    envelope = envelope._replace(scalars={"count": 1.0})
                data = pack(envelope, {k: v[:-1] for k, v in vectors.items()})
            yield name, data

    state = some.run(lying, RULES._replace(fewest=2))
    assert int(state.server.round) == 3
    log = (tmp_path / "server/metrics.jsonl").read_text()
    assert "expected the scalars count, loss, got ['count']" in log


def test_an_order_without_a_model_is_refused(runs, scans, tmp_path):
    _, kind, *_ = runs
    one = Consortium(scans, tmp_path, **kind)
    trained = one.experiment.algorithm.init(one.fresh, jax.numpy.ones(3))
    order = write_training_order(one.terms, trained, nonce="n")
    with pytest.raises(
        Refused, match="expected the model of round 0 before the order to train on it, got none"
    ):
        one.worker("amber").receive(order)
    with pytest.raises(
        Refused, match="kind: expected one of model, train, alone, report, got 'validated'"
    ):
        one.worker("amber").receive(
            write_validation(one.terms, unpack(order, limit=LIMIT).envelope, "x", loss=1.0, count=1)
        )
