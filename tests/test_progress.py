"""A bar on a terminal, a line in a log, nothing if not wanted."""

import sys

import pytest

from fedbrain import progress


def run(total=2):
    with progress.Steps("federated", unit="round", total=total) as steps:
        for done in (1, 1, 2):
            steps.now("training")
            steps.reach(done, f"valid {done}.00")
    assert list(progress.each([3, 4], "read")) == [3, 4]


def test_a_log_has_a_line_for_each_step(capsys):
    run()
    out, err = capsys.readouterr()
    assert out == ""
    lines = ["federated: round 1/2, valid 1.00", "federated: round 2/2, valid 2.00"]
    assert err.splitlines() == lines


def test_progress_that_is_not_wanted(capsys):
    with progress.silenced():
        run()
        progress.say("Round 2: an event.")
    assert capsys.readouterr() == ("Round 2: an event.\n", "")
    run()
    assert "federated: round 1/2" in capsys.readouterr().err  # only inside


@pytest.mark.parametrize("wanted", [True, False])
def test_a_terminal_has_a_bar(capsys, monkeypatch, wanted):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "_wanted", wanted)
    run()
    err = capsys.readouterr().err
    assert ("2/2" in err and "valid 2.00" in err and "round 2/2" not in err) == wanted
