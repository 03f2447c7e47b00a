"""Differential privacy over the real engine: sites add their own noise, count it over experiments,
and refuse the experiment that would exceed what they allow. Slow: processes over mutual TLS.
"""

import json
import math

import pytest

pytest.importorskip("nvflare", reason="needs the extra deploy")

from fedbrain.analysis.gaussian_privacy import epsilon_of
from fedbrain.deploy.site_side.privacy_ledger import Ledger
from tests.faults.consortium import ALLOW, SITES, Consortium
from tests.small_site import site_toml

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
DELTA, NOISE, ROUNDS = 1e-5, 4.0, 2
PRIVACY = {
    "trainable": "only_head()",
    "client__privacy": f"dp_fedsgd(noise_multiplier={NOISE}, clip_norm=1.0, loss_bound=30.0)",
}
# a person who validates is in three sums: before the first round, and after both
ONE = epsilon_of(math.sqrt(ROUNDS + 1) / NOISE, DELTA)
TWO = epsilon_of(math.sqrt(2 * (ROUNDS + 1)) / NOISE, DELTA)


def _run(made, workdir, seed, **fields):
    """(exit code, what the lead's command printed)"""
    workdir.mkdir()
    log = workdir / "log.txt"
    supervisor = made.run(workdir, log=log, rounds=ROUNDS, seed=str(seed), **fields)
    try:
        return supervisor.wait(timeout=400), log.read_text()
    finally:
        supervisor.kill()


def _ledger(made, name):
    return Ledger(made.kit(name) / "fedbrain/privacy.json", delta_dp=DELTA)


def test_noise_is_counted_over_experiments_and_the_one_too_many_is_refused(tmp_path):
    made = Consortium(tmp_path / "consortium")
    allowed = f"{ALLOW}[privacy]\nepsilon_at_most = {(ONE + TWO) / 2}\n"
    for name in SITES:
        tree = made.folder / "trees" / name
        text = site_toml(name, tree, subjects=5, tested=3, more=allowed)
        (made.kit(name) / "local/site.toml").write_text(text)
    made.start()
    try:
        code, said = _run(made, tmp_path / "open", 1)
        assert code == 1
        assert "expected dp_fedsgd(...), since this site demands epsilon" in said
        code, said = _run(made, tmp_path / "first", 2, **PRIVACY)
        assert code == 0, said
        results = json.loads((tmp_path / "first/results.json").read_text())
        for name in SITES:
            assert results["clients"][name]["epsilon"] == pytest.approx(ONE)
            assert _ledger(made, name).epsilon() == pytest.approx(ONE)
        code, said = _run(made, tmp_path / "second", 3, **PRIVACY)
        assert code == 1
        assert "Sites would refuse the same job again: amber: config.client.privacy" in said
        assert "over all experiments of this site" in said
        assert not list((tmp_path / "second").rglob("metrics.jsonl"))  # no round was run
        for name in SITES:  # nothing was told
            assert _ledger(made, name).epsilon() == pytest.approx(ONE)
            assert "update" not in _kinds(made, name)[-2:]
    finally:
        made.stop()


def _kinds(made, name):
    lines = (made.kit(name) / "fedbrain/audit.jsonl").read_text().splitlines()
    return [json.loads(line)["kind"] for line in lines]
