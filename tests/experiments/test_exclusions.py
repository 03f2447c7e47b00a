"""A client that is missing in a model is named once while it trains, and in the results."""

from fedbrain import progress
from fedbrain.deploy.server_side.report_text import render
from fedbrain.experiments.exclusions import absences, exclusions, sentences
from fedbrain.experiments.federation import show


def line(round, **rejected):
    return {
        "round": round,
        "rejected": {name: float(r) for name, r in rejected.items()},
        "steps": dict.fromkeys(rejected, 2.0),
        "skipped": 0.0,
        "valid_loss": 1.0,
        "best_round": 1,
    }


HISTORY = [line(1, amber=False, birch=False), line(2, amber=True, birch=False), line(3, amber=True)]


def test_rounds_are_counted():
    assert exclusions(HISTORY) == {"amber": {"rounds": 2, "of": 3}}
    assert exclusions(HISTORY[:1]) == {}
    [sentence] = sentences({"federated/repeat0-split0": exclusions(HISTORY)})
    assert "WARNING federated/repeat0-split0: amber is missing in 2 of its 3 rounds" in sentence


def test_a_client_that_takes_no_step_is_not_counted():
    absent = {**line(1, amber=True), "steps": {"amber": 0.0}}
    assert exclusions([absent]) == {}


def test_it_is_told_once(monkeypatch):
    told = []
    monkeypatch.setattr(progress, "say", told.append)
    known: set[str] = set()
    with progress.Steps("federated", unit="round", total=3) as steps:
        for of_round in HISTORY:
            show(steps, of_round, known)
    assert [text.partition(":")[0] for text in told] == ["WARNING round 2"]
    assert "amber" in told[0]


def test_a_site_that_leaves_a_consortium():
    history = [
        {"left_out": {"amber": "too late"}},
        {"left_out": {}},
        {"left_out": {"amber": "gone"}},
    ]
    assert absences(history) == {"amber": {"rounds": 2, "of": 3, "reason": "gone"}}
    results = {
        "synthetic": False, "clients": {}, "macro": {}, "alone": {}, "unit": "years", "untold": {},
        "rounds": 3, "best_round": 1, "absent": absences(history),
    }  # fmt: skip
    nothing = dict.fromkeys(("mae", "rmse", "r2", "r", "floor_mae"), float("nan"))
    assert "WARNING amber is missing in 2 of 3 rounds" in render({**results, "macro": nothing})
