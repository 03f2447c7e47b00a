"""`fedbrain ranks`: methods over finished studies."""

import json

import pytest

from fedbrain.experiments import ranks
from tests.programs import run_program


def study(folder, unit, scores, floor=0.0):
    """What a finished study leaves, as far as ranks read it."""
    lines = [
        {"method": method, "attack": attack, "mean": mean}
        for attack, methods in scores.items()
        for method, mean in {**methods, "floor: a constant": floor}.items()
    ]
    folder.mkdir()
    told = {"unit": unit, "synthetic": False, "lines": lines}
    (folder / "comparison.json").write_text(json.dumps(told))
    return folder


def test_methods_that_all_studies_have_are_ranked_over_them(tmp_path, capsys):
    first = study(
        tmp_path / "digits",
        "accuracy",
        {"none": {"a": 9.0, "b": 8.0, "c": 7.0, "x": 1}, "flip": {"a": 9, "b": 8, "c": None}},
        floor=99.0,
    )
    second = study(tmp_path / "ages", "years", {"none": {"c": 4.0, "a": 6.0, "b": 5.0}})
    ranks.run([first, second], tmp_path / "ranks.png")
    told = json.loads((tmp_path / "ranks.json").read_text())
    assert dict(zip(told["methods"], told["average"])) == pytest.approx(
        {"a": 5 / 3, "b": 2, "c": 7 / 3}
    )
    assert told["problems"] == ["digits, none", "digits, flip", "ages, none"]
    text = capsys.readouterr().out
    assert "Left out, since some study lacks them: x." in text
    assert "Attacks of one study share data" in text


def test_no_study_and_another_file_are_refused_in_a_sentence(tmp_path):
    done = study(tmp_path / "digits", "accuracy", {"none": {"a": 9.0, "b": 8.0, "c": 7.0}})
    missing = run_program("fedbrain.ranks", f"{done},{tmp_path}/none", f"--output={tmp_path}/r.png")
    assert "expected a finished study, or a sweep, got no comparison.json there" in missing.stderr
    assert missing.returncode == 1
    alone = run_program("fedbrain.ranks", str(done), f"--output={tmp_path}/r.png")
    assert "3 methods or more in 2 problems or more" in alone.stderr
    wrong = run_program("fedbrain.ranks", str(done), f"--output={tmp_path}/r.pdf")
    assert (wrong.returncode, "expected a .png file" in wrong.stderr) == (2, True)
