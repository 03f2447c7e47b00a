"""The real engine: processes over mutual TLS on loopback, real files. Slow: pytest -m slow tests/test_network.py."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("nvflare", reason="needs the extra deploy")
from tests.faults.consortium import ROOT, SITES, Consortium, make_trees, simulate

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # processes are killed, not closed
RULES = {
    "FedAvg": {},
    "coordinate median with FedAdam": {"server__aggregator": "median()", "server__optimizer": "fedadam(0.01)"},
    "SCAFFOLD": {"algorithm": "scaffold()"},
    "FedBN": {"server__exchange": "without_batch_norm()"},
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees") / "trees"
    make_trees(folder)
    return folder


def _consortium(folder, trees, **how):
    folder.mkdir(exist_ok=True)
    (folder / "trees").symlink_to(trees, target_is_directory=True)
    return Consortium(folder, **how)


@pytest.fixture(scope="module")
def consortium(trees, tmp_path_factory):
    made = _consortium(tmp_path_factory.mktemp("consortium"), trees)
    made.start()
    yield made
    made.stop()


def _finish(made, workdir, seconds=400, **how):
    workdir.mkdir(parents=True, exist_ok=True)
    supervisor = made.run(workdir, log=workdir / "log.txt", **how)
    try:
        supervisor.wait(timeout=seconds)
    finally:
        supervisor.kill()
        supervisor.wait()
    assert (workdir / "results.json").is_file(), (workdir / "log.txt").read_text()[-3000:]
    return json.loads((workdir / "results.json").read_text())


@pytest.mark.parametrize("rule", RULES)
def test_the_model_over_the_network_is_the_simulated_one(consortium, trees, rule, tmp_path):
    found = _finish(consortium, tmp_path / "run", rounds=3, **RULES[rule])
    expected = simulate(trees, tmp_path / "simulated", rounds=3, **RULES[rule])
    if rule != "FedBN":
        assert found["variables_sha256"] == expected["variables_sha256"]["federated/repeat0-split0"]
    folder = next(f for f in consortium.kit("server").glob("fedbrain/*") if f.resolve() == tmp_path / "run").name
    for name in SITES:
        line = [sys.executable, "-m", "fedbrain.export", f"--workdir={tmp_path / 'simulated'}", f"--client={name}"]
        subprocess.run(
            [*line, f"--output={tmp_path / name}.safetensors"], cwd=ROOT, check=True, env=consortium.environment()
        )
        ours = load_file(consortium.kit(name) / "fedbrain" / folder / "model.safetensors")
        theirs = load_file(tmp_path / f"{name}.safetensors")
        assert set(ours) == set(theirs)
        for key, value in ours.items():
            np.testing.assert_array_equal(value, theirs[key])
        accuracy = expected["regimes"]["federated"]["clients"][name]
        assert found["clients"][name]["mae"] == pytest.approx(accuracy["mae"], abs=1e-12)
        assert found["clients"][name]["mae_95"] == pytest.approx(accuracy["mae_95"], abs=1e-12)
