"""What a server may ask: one model, one order a round, in order, whatever it sends and however
often it asks. The attacks are those of a server whose every message is well formed.
"""

import jax
import numpy as np
import pytest

from fedbrain.deploy.protocol.questions import (
    write_lone_training,
    write_model,
    write_training_order,
)
from fedbrain.deploy.protocol.wire import Refused, unpack
from fedbrain.deploy.site_side.floors import rounded
from fedbrain.deploy.site_side.questions import REPEATS, Questions
from tests.faults.in_memory import LIMIT, Consortium


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("questions")


class Attacker:
    """A server that has the agreement of three rounds, and one site to ask."""

    def __init__(self, cache, folder):
        self.site = Consortium(cache / "cache", folder)
        self.first = self.site.experiment.algorithm.init(self.site.fresh, jax.numpy.ones(3))
        self.answered, self.refused, self.count = [], [], 0

    def weights(self, round, value):
        """A state of a round whose last layer alone speaks: a model that is constant."""
        params = jax.tree.map(np.zeros_like, self.first.params)
        params["head"]["bias"] = np.full_like(params["head"]["bias"], value)
        return self.first._replace(round=np.int32(round), params=params)

    def ask(self, state, *, nonce="", kind="model"):
        """Asks for the validation loss of a state."""
        self.count += 1
        nonce = nonce or f"n{self.count}"
        question = write_model(self.site.terms, state, nonce=nonce, best_round=-1, kind=kind)
        return self.send(question)

    def order(self, round, scale=1.0, nonce=""):
        """Has the site train."""
        self.count += 1
        state = self.first._replace(round=np.int32(round), learning_rate_scale=np.float32(scale))
        nonce = nonce or f"n{self.count}"
        return self.send(write_training_order(self.site.terms, state, nonce=nonce))

    def send(self, question):
        try:
            answer = unpack(self.site.worker("amber").receive(question), limit=LIMIT)
        except Refused as error:
            self.refused.append(str(error))
            return None
        self.answered.append(answer)
        return answer

    def restart(self):
        """The site's process dies and starts again."""
        self.site.workers.pop("amber").close()


@pytest.fixture
def attacker(cache, tmp_path):
    made = Attacker(cache, tmp_path)
    assert made.ask(made.first) is not None
    return made


def test_a_model_that_does_not_follow_from_the_job_is_refused(cache, tmp_path):
    """Weights laid into the server's work directory are not trained on."""
    attacker = Attacker(cache, tmp_path)
    assert attacker.ask(attacker.weights(0, 1.0)) is None
    assert "expected the model that follows from the job's seed" in attacker.refused[-1]
    assert attacker.ask(attacker.weights(2, 1.0)) is None
    assert "expected the model of round 0, which follows from the job" in attacker.refused[-1]
    assert attacker.ask(attacker.first) is not None


@pytest.mark.parametrize("models", [91, 1461])
def test_many_models_get_no_more_answers_than_the_agreement_has_rounds(attacker, models):
    """91 constant models would read every label, 1,461 one person's image of 8^3 voxels."""
    for k in range(models):
        if k == models // 2:
            attacker.restart()
        attacker.ask(attacker.weights(1 + k % 5, k / 10))
    losses = [a for a in attacker.answered if a.envelope.kind == "validated"]
    assert len(losses) == 4  # rounds 0, 1, 2 and 3
    assert len(attacker.refused) == models - 3
    assert any("a round has one" in reason for reason in attacker.refused)
    assert any("expected one from 0 to 3" in reason for reason in attacker.refused)


def test_the_same_question_gets_the_same_bits_also_after_a_restart(attacker):
    one, two = attacker.order(0), attacker.ask(attacker.weights(1, 0.5))
    attacker.restart()
    attacker.ask(attacker.first)
    for before, after in ((one, attacker.order(0)), (two, attacker.ask(attacker.weights(1, 0.5)))):
        assert before.envelope.nonce != after.envelope.nonce
        assert before.envelope._replace(nonce="") == after.envelope._replace(nonce="")
        for name, vector in before.vectors.items():
            np.testing.assert_array_equal(vector, after.vectors[name])


def test_a_nonce_is_of_one_question_also_after_a_restart(attacker):
    assert attacker.ask(attacker.weights(1, 0.0), nonce="same") is not None
    attacker.restart()
    assert attacker.ask(attacker.weights(2, 0.0), nonce="same") is None
    assert "nonce: expected one of its own" in attacker.refused[-1]
    assert attacker.ask(attacker.weights(1, 0.0), nonce="same") is not None
    assert attacker.ask(attacker.weights(2, 0.0), nonce="x" * 65) is None


def test_rounds_come_in_order(attacker):
    assert attacker.ask(attacker.weights(2, 0.0)) is not None
    assert attacker.ask(attacker.weights(1, 0.0)) is None
    assert "out of its turn" in attacker.refused[-1]
    assert attacker.order(1) is None
    assert "expected the model of round 1 before the order" in attacker.refused[-1]


@pytest.mark.parametrize("scale", [1e-9, 0.0, 0.3, 2.0])
def test_a_learning_rate_that_the_job_does_not_have_is_refused(attacker, scale):
    """Steps of no length are all taken at the server's weights: an exact gradient."""
    assert attacker.order(0, scale) is None
    assert "learning_rate_scale: expected" in attacker.refused[-1]


def test_only_the_model_of_its_round_is_tested_and_then_nothing_new_is_asked(attacker):
    attacker.ask(attacker.weights(1, 0.0))
    assert attacker.ask(attacker.weights(1, 9.0), kind="report") is None
    assert "expected the model of round 1 to be tested, got another one" in attacker.refused[-1]
    attacker.ask(attacker.weights(1, 0.0), kind="report")
    assert attacker.ask(attacker.weights(2, 0.0)) is None
    assert "no new question after the report" in attacker.refused[-1]


def test_an_experiment_has_a_number_of_questions(tmp_path, attacker):
    message = unpack(
        write_model(attacker.site.terms, attacker.first, nonce="n", best_round=-1), limit=LIMIT
    )
    questions = Questions(tmp_path / "x", rounds=3, keep=2)
    for _ in range(REPEATS * 9):
        questions.admit(message)
    with pytest.raises(Refused, match="expected at most 90 questions in this experiment"):
        questions.admit(message)
    (tmp_path / "x/questions.json").write_text("{")
    with pytest.raises(ValueError, match="expected the questions that this site was asked, got a"):
        Questions(tmp_path / "x", rounds=3, keep=2)


def test_a_sum_of_losses_can_be_sent_rounded(attacker):
    worker = attacker.site.worker("amber")
    worker.digits = 2
    exact, sent = attacker.answered[0], attacker.ask(attacker.weights(1, 0.0))
    assert sent.envelope.scalars["loss"] == rounded(sent.envelope.scalars["loss"], 2)
    assert exact.envelope.scalars["loss"] != rounded(exact.envelope.scalars["loss"], 2)


@pytest.mark.parametrize("best_round", [5, -2])
def test_a_best_round_is_a_round_that_was(attacker, best_round):
    state = attacker.weights(1, 0.0)
    question = write_model(attacker.site.terms, state, nonce="b", best_round=best_round)
    assert attacker.send(question) is None
    assert "best_round: expected a round from -1 to 1" in attacker.refused[-1]


def test_training_alone_is_asked_only_where_the_job_has_it(attacker):
    terms = attacker.site.terms
    order = write_lone_training(terms, attacker.first, nonce="alone")
    assert attacker.send(order) is None
    assert "expected a job with the regime 'local'" in attacker.refused[-1]
    later = attacker.first._replace(round=np.int32(1))
    assert attacker.send(write_lone_training(terms, later, nonce="later")) is None
    assert "round: expected one from 0 to 0, got 1" in attacker.refused[-1]
