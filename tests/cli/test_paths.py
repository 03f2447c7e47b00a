"""`~` is the home folder in flags and wherever a configuration names a path."""

from pathlib import Path

import pytest

from fedbrain.cli.paths import _PathParser, _PathsParser
from fedbrain.data.problems import region_volumes
from fedbrain.deploy.site_side.policy import read_policy
from fedbrain.experiments.baselines import linear
from fedbrain.experiments.split_id import SplitId
from fedbrain.experiments.starting_point import from_file, run


def test_flags(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert _PathParser().parse("~/runs") == Path("/home/someone/runs")
    assert _PathsParser().parse("~/a,b") == [Path("/home/someone/a"), Path("b")]
    with pytest.raises(ValueError, match="home"):
        _PathParser().parse("~nobody_of_this_name/runs")


@pytest.mark.parametrize(
    "use",
    [
        lambda: run("~/none")({}, SplitId(0)),
        lambda: from_file("~/none.safetensors")({}, SplitId(0)),
        lambda: linear(model="~/none")[1]({}, SplitId(0)),
        lambda: region_volumes("~/none.csv", "~/none.csv")(0),
    ],
    ids=["run", "file", "baseline", "problem"],
)
def test_configurations(use, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match=str(tmp_path / "none")):
        use()


def test_the_file_of_a_site(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    text = 'name = "here"\n[data]\nroot = "~/tree"\n[targets.age]\ncolumn = "age"\n'
    (tmp_path / "site.toml").write_text(text)
    assert read_policy(tmp_path / "site.toml").root == tmp_path / "tree"
