"""The gate: every check refuses its own fault in a sentence, and an honest update passes."""

import numpy as np
import pytest

from fedbrain.deploy.protocol.gate import Question, admit, norms, too_large
from fedbrain.deploy.protocol.wire import Envelope, Refused, pack

QUESTION = Question(
    "update", 4, nonce="n4", config="c1", schema="s1", at_most={"weight": 40.0}, limit=10_000
)
HONEST = Envelope("update", "brussels", 4, "n4", "c1", "s1", {"weight": 31.0, "loss": 5.0})
VECTOR = {"delta": np.ones(100, np.float32), "model_state": np.zeros(3, np.float32)}


def _admit(envelope=HONEST, vectors=VECTOR, *, sender="brussels", answered=frozenset()):
    return admit(
        sender, pack(envelope, vectors), {"brussels": QUESTION, "prague": QUESTION}, answered
    )


def test_a_scalar_out_of_its_range_and_another_length_are_refused():
    question = QUESTION._replace(bounds={"loss": (0.0, 9.0)}, sizes={"delta": 99})
    with pytest.raises(Refused, match="expected the numbers {'delta': 99}"):
        admit("brussels", pack(HONEST, VECTOR), {"brussels": question}, frozenset())
    question = question._replace(sizes=None)
    for loss in (-1.0, 1e9):
        data = pack(HONEST._replace(scalars={"weight": 31.0, "loss": loss}), VECTOR)
        with pytest.raises(Refused, match="loss: expected a number from 0 to 9"):
            admit("brussels", data, {"brussels": question}, frozenset())


def test_an_honest_update_passes():
    message = _admit()
    assert message.envelope == HONEST
    assert norms(message)["delta"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "model"}, "kind: expected 'update', got 'model'"),
        ({"sender": "prague"}, "sender: expected 'brussels', got 'prague'"),
        ({"round": 3}, "round: expected 4, got 3. It is late."),
        ({"round": 5}, "round: expected 4, got 5.$"),
        ({"nonce": "n3"}, "nonce: expected 'n4', got 'n3'"),
        ({"config": "c2"}, "config: expected 'c1', got 'c2'"),
        ({"schema": "s2"}, "schema: expected 's1', got 's2'"),
        (
            {"scalars": {"loss": 5.0}},
            "weight: expected more than 0 and at most the 40 declared, got nan",
        ),
        ({"scalars": {"weight": 41.0}}, "at most the 40 declared, got 41"),
        ({"scalars": {"weight": 0.0}}, "weight: expected more than 0"),
    ],
)
def test_an_answer_to_another_question_is_refused(change, sentence):
    with pytest.raises(Refused, match=sentence):
        _admit(HONEST._replace(**change))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_is_refused(value):
    vector = np.ones(100, np.float32)
    vector[7] = value
    with pytest.raises(Refused, match="delta: expected finite numbers, got 1 of 100"):
        _admit(vectors={**VECTOR, "delta": vector})


def test_strangers_repetitions_and_giants_are_refused():
    with pytest.raises(Refused, match="expected an answer of brussels, prague, got one of oslo"):
        _admit(sender="oslo")
    with pytest.raises(
        Refused, match="expected one answer of brussels in round 4, got a second one"
    ):
        _admit(answered={"brussels"})
    with pytest.raises(Refused, match="at most 10,000 bytes"):
        _admit(vectors={"delta": np.random.default_rng(0).normal(size=5000).astype(np.float32)})


@pytest.mark.parametrize("collection", ["delta", "extra"])
def test_norms_of_every_collection_are_held_against_the_median_of_the_round(collection):
    found = {
        site: {"delta": 1.0, "extra": 2.0} | {collection: size}
        for site, size in [("a", 1.0), ("b", 1.2), ("c", 40.0)]
    }
    refused = too_large(found, medians=10)
    assert list(refused) == ["c"]
    assert (
        refused["c"]
        == f"norm of {collection}: expected at most 10 times the median 1.2 of this round, got 40"
    )
    assert list(too_large({site: found[site] for site in "ac"}, medians=10)) == ["c"]
    assert not too_large({"c": found["c"]}, medians=10)


def test_where_nobody_sends_anything_a_site_that_does_is_refused():
    found = {"a": {"extra": 0.0}, "b": {"extra": 0.0}, "c": {"extra": 1e-6}}
    assert list(too_large(found, medians=100)) == ["c"]
