"""--profile: one round of a run leaves a trace."""

import gzip
import json

import jax.numpy as jnp
import pytest

from fedbrain import main
from fedbrain.algorithms.quadratic import quadratic_algorithm
from fedbrain.experiments import profile
from fedbrain.experiments.round_end import first_snapshot
from tests.conftest import without_figures
from tests.experiment_under_test import config

pytestmark = pytest.mark.usefixtures("shared_programs")


def test_the_second_round_is_traced_and_the_results_stay(tmp_path, scans, capsys):
    with without_figures():
        main._profiled(config(scans, 3, ("federated", "local")), tmp_path / "run")
    said = "".join(capsys.readouterr())
    assert said.count("Trace of round ") == 1
    assert f"Trace of round 2: {tmp_path / 'run' / 'profile'}" in said
    [trace] = (tmp_path / "run" / "profile").rglob("*.trace.json.gz")
    with gzip.open(trace) as file:
        assert json.load(file)["traceEvents"]
    with without_figures():
        main._profiled(config(scans, 3, ("federated", "local")), tmp_path / "run")
    assert "no trace was made" in "".join(capsys.readouterr())


def test_which_round_is_traced(tmp_path, monkeypatch):
    traced = []
    monkeypatch.setattr(profile.jax.profiler, "trace", lambda folder: tracer(traced))

    class tracer:
        def __init__(self, log):
            self.log = log

        def __enter__(self):
            self.log.append("trace")

        def __exit__(self, *_):
            return False

    def one_round(snapshot):
        traced.append(int(snapshot.server.round))
        return snapshot, {"round": int(snapshot.server.round)}

    def at(number):
        server = quadratic_algorithm().init({"params": {"w": jnp.zeros(2)}}, jnp.ones(1))
        return first_snapshot(server._replace(round=jnp.asarray(number)), [])

    with profile.tracing(tmp_path):
        run = profile.traced(one_round, rounds=5)
        for number in range(1, 4):
            run(at(number))
    assert traced == [1, "trace", 2, 3]
    traced.clear()
    with profile.tracing(tmp_path):
        profile.traced(one_round, rounds=1)(at(1))
    assert traced == ["trace", 1]
    traced.clear()
    profile.traced(one_round, rounds=5)(at(7))
    assert traced == [7]
