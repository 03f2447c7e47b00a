"""A whole experiment whose clients are spread over two devices each, also one client with all
scans.
"""

import json

import numpy as np
import pytest

from fedbrain import main
from tests.experiment_under_test import config

REGIMES = ("centralised", "federated")


def run(folder, cache, driver):
    """Test errors of both regimes, and their validation losses."""
    c = config(cache, rounds=1, regimes=REGIMES)
    c.driver, c.client.microbatches = driver, 2
    c.client.optimizer = "sgd(1e-3)"  # Adam makes whole steps of gradients that are rounding
    main.run(c, folder)
    regimes = json.loads((folder / "results.json").read_text())["regimes"]
    errors = [regimes[name]["pooled"][error] for name in REGIMES for error in ("mae", "rmse")]
    logs = sorted(folder.rglob("metrics.jsonl"))
    return errors, [json.loads(log.read_text())["valid_loss"] for log in logs]


@pytest.mark.usefixtures("no_figures")
def test_an_experiment_has_the_results_of_one_device(tmp_path, scans):
    alone = run(tmp_path / "alone", scans, "loop()")
    shared = run(tmp_path / "shared", scans, "shard(devices=2, batch=2)")
    for expected, found in zip(alone, shared):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
