"""What is said when patience ends."""

from fedbrain.experiments.round_events import events
from fedbrain.training.selection import Patience, observe, start

PATIENCE = Patience(stop=4, plateau=2, factor=0.5)


def said(losses, rounds=9):
    selection, sentences = start(), []
    for round, loss in enumerate(losses, 1):
        after = observe(selection, loss, round=round, patience=PATIENCE)
        sentences.append(list(events(selection, after, PATIENCE, round=round, rounds=rounds)))
        selection = after
    return sentences


def test_nothing_while_it_gets_better():
    assert said([5.0, 4.0, 3.0]) == [[], [], []]


def test_a_fall_and_an_early_end():
    *before, last = said([5.0, 4.0, 4.5, 4.5, 4.5, 4.5])
    assert before[:3] == [[], [], []]
    assert before[3] == [
        "Round 4: no better validation loss than 4.00 of round 2: the learning rate falls to 0.5 of"
        " the first one."
    ]
    assert last == [
        "Round 6: no better validation loss than 4.00 of round 2: the learning rate falls to 0.25"
        " of the first one.",
        "Stops early after round 6 of 9: no better validation loss than 4.00 of round 2.",
    ]


def test_the_last_round_is_no_early_end():
    assert all("Stops" not in s for s in said([5.0] * 5, rounds=5)[-1])


def test_without_any_finite_loss():
    assert said([float("nan")] * 2)[-1] == [
        "Round 2: no finite validation loss yet: the learning rate falls to 0.5 of the first one."
    ]
