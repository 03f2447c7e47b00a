"""Differential privacy of a whole experiment in simulation."""

import json
import math

import jax
import numpy as np
import pytest

from fedbrain.algorithms.private import dp_fedsgd
from fedbrain.analysis.gaussian_privacy import epsilon_of
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.experiment import run
from fedbrain.experiments.private import noisy_sum
from tests.conftest import without_figures
from tests.experiment_under_test import config

PRIVACY = "dp_fedsgd(noise_multiplier=2.0, clip_norm=1.0, loss_bound=30.0)"


def _config(cache, **changes):
    c = config(cache, rounds=2, regimes=("federated",))
    c.trainable, c.client.privacy, c.model = "only_head()", PRIVACY, "adapted_sfcn(channels=(4, 8))"
    with c.unlocked():
        for field, value in changes.items():
            of, _, name = field.rpartition("__")
            (c[of] if of else c)[name] = value
    return c


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"algorithm": "mimelite()"}, "config.algorithm: expected fedavg"),
        ({"algorithm": "report_global_loss"}, "config.algorithm: expected fedavg"),
        ({"target": "z_score()"}, "config.target: expected raw"),
        ({"client__epochs": 2}, "config.client.epochs: expected 1 under config.client.privacy"),
        ({"server__aggregator": "fednova()"}, "config.server.aggregator: expected another rule"),
        (
            {"client__privacy": "dp_fedsgd(noise_multiplier=2.0)"},
            "config.client.privacy: .*missing",
        ),
        ({"client__privacy": "dp(1)"}, "config.client.privacy: Unknown 'dp'"),
        ({"client__privacy": PRIVACY.replace("2.0", "0.0")}, "Expected noise_multiplier=0.0 > 0"),
    ],
)
def test_what_would_be_told_without_noise_is_refused(tmp_path, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_experiment(_config(tmp_path, **change))


def test_a_delta_that_allows_to_tell_a_person_is_refused_before_training(scans, tmp_path):
    loose = PRIVACY.replace(")", ", delta_dp=0.09)")
    with pytest.raises(ValueError, match="expected delta_dp below 1 / 15, the people of amber"):
        run(_config(scans, client__privacy=loose), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_results_tell_epsilon_of_every_client(scans, tmp_path, capsys):
    with without_figures():
        run(_config(scans), tmp_path / "run")
    results = json.loads((tmp_path / "run/results.json").read_text())
    expected = epsilon_of(math.sqrt(2) / 2.0, 1e-5)  # two rounds, noise of two clipping norms
    told = results["privacy"]["regimes"]["federated"]
    assert {name: m["epsilon"] for name, m in told.items()} == dict.fromkeys(
        ("amber", "birch", "cedar"), pytest.approx(expected)
    )
    assert results["privacy"]["delta_dp"] == 1e-5
    printed = capsys.readouterr().out
    assert "Differential privacy, delta 1e-05" in printed
    assert f"{expected:.3g}" in printed
    log = tmp_path / "run/runs/federated/repeat0-split0/metrics.jsonl"
    first = json.loads(log.read_text().splitlines()[0])
    assert first["train_loss"] == {}  # sums of training losses stay at the client


def test_losses_are_bounded_and_have_noise():
    privacy = dp_fedsgd(2.0, 1.0, loss_bound=10.0)
    losses = np.array([1.0, 25.0, np.nan, 3.0], np.float32)
    assert noisy_sum(losses[[0, 3]], None, jax.random.key(0)) == 4
    sums = [noisy_sum(np.tile(losses, 50), privacy, jax.random.key(k)) for k in range(200)]
    assert np.mean(sums) == pytest.approx(50 * 24, abs=5)
    assert np.std(sums) == pytest.approx(20, rel=0.15)
    assert min(noisy_sum(losses[:1], privacy, jax.random.key(k)) for k in range(20)) == 0
