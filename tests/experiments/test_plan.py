"""What fits an accelerator; a CPU stands in for one, with as much memory as a test says."""

import re
from importlib.util import find_spec

import jax
import pytest

from fedbrain.experiments import plan
from fedbrain.training.accelerators import Tpu
from tests.experiment_under_test import config
from tests.programs import run_program


@pytest.fixture
def plan_with(monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "describe", lambda name, devices: jax.devices())
    monkeypatch.setattr(plan, "SHARE", 1.0)

    def run(memory, devices=1, driver="auto()"):
        monkeypatch.setitem(plan.ACCELERATORS, "v5e", Tpu("a chip", "", memory))
        c = config(tmp_path)
        c.driver = driver
        plan.run(c, "v5e", devices)

    return run


def test_what_fits_is_not_changed_and_else_microbatches_are_tried(plan_with, capsys, tmp_path):
    plan_with(2**30)
    assert "fits          as configured" in capsys.readouterr().out
    with pytest.raises(ValueError, match="expected a step that fits a chip, got .* at the least"):
        plan_with(2**10)
    tried = re.findall(r"does not fit  (.*)", capsys.readouterr().out)
    assert tried == ["as configured", *(f"--config.client.microbatches={n}" for n in (2, 4))]
    assert not list(tmp_path.iterdir())


def test_remat_is_tried_where_a_network_has_it(tmp_path):
    c = config(tmp_path)
    c.model = "densenet121()"
    remat = '--config.model="densenet121(remat=True)"'
    expected = ["", remat, f"{remat} --config.client.microbatches=2"]
    assert [way.flags for way in plan.ways(c)][:3] == expected


def test_several_devices_share_a_batch(plan_with, capsys):
    """Of 4 examples, in halves where there are two microbatches; as configured, or by the flag."""
    plan_with(2**30, driver="processes(shard(devices=2, batch=2))")
    assert "fits          as configured" in capsys.readouterr().out
    with pytest.raises(ValueError, match="expected a step that fits a chip"):
        plan_with(2**10, devices=2)
    driver = '--config.driver="shard(devices=2, batch=2)"'
    tried = re.findall(r"does not fit  (.*)", capsys.readouterr().out)
    assert tried == ["as configured", driver, f"{driver} --config.client.microbatches=2"]


def test_what_cannot_be_compiled_for_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--device: expected one of h100, .*, got 'mi300'"):
        plan.run(config(tmp_path), "mi300")
    if find_spec("jax_cuda12_plugin") is None:
        with pytest.raises(ValueError, match="NVIDIA H100 80GB HBM3: its compiler did not start"):
            plan.run(config(tmp_path), "h100")


def test_the_command_does_not_start_an_accelerator_that_may_be_missing(monkeypatch):
    """JAX starts CUDA where its plugin is installed, and fails where there is no GPU."""
    platforms = []
    monkeypatch.setattr(
        plan, "run", lambda *_: platforms.append(jax.config.values["jax_platforms"])
    )
    before = jax.config.values["jax_platforms"]
    jax.config.update("jax_platforms", "")
    try:
        done = run_program("fedbrain.plan", "--config=configs/quickstart.py", "--device=h100")
    finally:
        jax.config.update("jax_platforms", before)
    assert done.returncode == 0, done.stderr
    assert platforms == ["cpu"]
