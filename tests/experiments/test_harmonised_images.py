"""config.harmonise in a simulation: what is trained on, what is refused."""

import json

import pytest

from fedbrain import main
from fedbrain.experiments.report import write_report
from fedbrain.experiments.trained_models import of_workdirs
from tests.conftest import without_figures
from tests.experiment_under_test import config
from tests.programs import run_program

pytestmark = pytest.mark.usefixtures("shared_programs")
# around the middle of the synthetic brain
PREPARE = "registered(voxel_size_mm=18.0, shape=(10, 12, 10), centre_mm=(78.0, 94.0, 78.0))"


def harmonised(cache, **changes):
    c = config(cache, rounds=1, regimes=("federated",))
    c.prepare, c.harmonise = PREPARE, "voxelwise('target', 'sex')"
    for field, value in changes.items():
        group, _, last = field.replace("__", ".").rpartition(".")
        (c[group] if group else c)[last] = value
    return c


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scans):
    folder = tmp_path_factory.mktemp("harmonised")
    with without_figures():
        main.run(harmonised(scans), folder / "run")
        main.run(harmonised(scans, harmonise="none()"), folder / "raw")
    return folder


def test_the_network_sees_other_images_and_the_page_says_it(finished, scans, capsys):
    one, other = (
        json.loads((finished / name / "results.json").read_text())["variables_sha256"]
        for name in ("run", "raw")
    )
    assert one != other
    text = write_report(finished / "run").read_text()
    assert "What each site adds to every voxel was taken away" in text
    assert "taken away" not in write_report(finished / "raw").read_text()
    with without_figures():
        main.run(harmonised(scans, seed=1), finished / "again")
    assert "Voxel-wise ComBat: mean size of the shift of" in capsys.readouterr().out


def test_models_of_such_images_see_no_others(finished, tmp_path):
    with pytest.raises(ValueError, match="known of its training sites alone"):
        of_workdirs([finished / "run"], federation="federated", client="")
    for words in (
        ("export", "--output=m.safetensors"),
        ("export", "--all", "--output=m.safetensors"),
        ("saliency",),
    ):
        done = run_program(f"fedbrain.{words[0]}", finished / "run", *words[1:], folder=tmp_path)
        assert done.returncode == 1
        assert "known of its training sites alone" in done.stderr
    assert list(tmp_path.iterdir()) == []


REFUSED = {
    "another recipe": (
        {"prepare": "conform(voxel_size_mm=18.0, shape=(10, 12, 10), mask='nonzero')"},
        "expected config.prepare=registered",
    ),
    "two modalities": ({"modalities": ("T1w", "FLAIR")}, "expected one of config.modalities"),
    "one site": ({"sites": {"amber": "synthetic('amber', subjects=15)"}}, "two sites or more"),
    "a site left out": ({"regimes": ("leave_one_site_out",)}, "no leave_one_site_out"),
    "a model of other images": ({"baselines": ("linear(model='x')",)}, "none with a model"),
    "no such column": ({"harmonise": "voxelwise('iq')"}, "value of 'iq' for every scan at amber"),
    "no such name": ({"harmonise": "combat()"}, "config.harmonise: Unknown 'combat'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_training(name, tmp_path, scans):
    changes, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence):
        main.run(harmonised(scans, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
