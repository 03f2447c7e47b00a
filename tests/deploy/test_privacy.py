"""A site's differential privacy: what it demands, what it tells, and what it remembers."""

import json
import math

import jax
import numpy as np
import pytest
from scipy.optimize import nnls

from fedbrain.algorithms.private import dp_fedsgd
from fedbrain.analysis.gaussian_privacy import epsilon_of, noise_multiplier_of
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.wire import Refused, unpack
from fedbrain.deploy.server_side.report import Ended, report
from fedbrain.deploy.server_side.report_text import render
from fedbrain.deploy.site_side.demands import Demands, read_demands
from fedbrain.deploy.site_side.floors import rounded
from fedbrain.deploy.site_side.going_home import write_identity
from fedbrain.deploy.site_side.privacy_ledger import Ledger
from fedbrain.deploy.site_side.private_people import open_people, require_demanded
from fedbrain.experiments.private import noisy_sum
from tests.faults.in_memory import LIMIT, Consortium

PRIVACY = "dp_fedsgd(noise_multiplier=2.0, clip_norm=1.0, loss_bound=30.0)"
NOISE = dp_fedsgd(2.0, 1.0, 30.0)
DELTA = 1e-5


def _ledger(tmp_path, **how):
    return Ledger(tmp_path / "privacy.json", delta_dp=DELTA, **how)


def _charge(ledger, name="a", rounds=(0,), privacy=NOISE, scans=1, part="train"):
    for round in rounds:
        ledger.charge(name, part, round, privacy=privacy, scans=scans)


def test_a_ledger_composes_rounds_parts_people_and_experiments_over_restarts(tmp_path):
    _charge(_ledger(tmp_path), rounds=range(4))
    _charge(_ledger(tmp_path), rounds=range(5), part="valid")  # other people than those who train
    assert _ledger(tmp_path).epsilon("a") == epsilon_of(math.sqrt(5) / 2, DELTA)
    _charge(_ledger(tmp_path), rounds=(0, 1, 2, 3))  # the same answers again cost nothing
    _charge(_ledger(tmp_path), "b", rounds=range(3), scans=2)  # a person with two scans
    whole = math.sqrt(5 / 4 + 3 * 4 / 4)
    assert _ledger(tmp_path).epsilon() == pytest.approx(epsilon_of(whole, DELTA))
    assert "2 experiments under differential privacy" in _ledger(tmp_path).sentence()
    assert _ledger(tmp_path).unprotected() == 0


def test_the_question_that_would_exceed_the_budget_is_refused_and_not_recorded(tmp_path):
    most = epsilon_of(math.sqrt(3) / 2, DELTA) + 0.01
    ledger = _ledger(tmp_path, epsilon_at_most=most)
    _charge(ledger, rounds=range(3))
    before = (tmp_path / "privacy.json").read_text()
    for name, round in (("a", 3), ("b", 0)):
        with pytest.raises(Refused, match="at most epsilon 3.7.*take more noise or fewer"):
            _charge(_ledger(tmp_path, epsilon_at_most=most), name, rounds=(round,))
    assert (tmp_path / "privacy.json").read_text() == before
    _charge(ledger, rounds=range(3))  # what was answered is answered again


def test_an_experiment_that_would_end_above_the_budget_is_refused_before_its_first_question(
    tmp_path,
):
    ledger = _ledger(tmp_path, epsilon_at_most=3.0)
    how = {"privacy": NOISE, "scans": 1}
    ledger.require_room("a", rounds=1, **how)
    with pytest.raises(Refused, match="at most epsilon 3 for delta 1e-05 over all experiments"):
        ledger.require_room("a", rounds=9, **how)
    with pytest.raises(Refused, match="expected differential privacy of at most epsilon 3"):
        ledger.require_room("a", rounds=1, privacy=None, scans=1)
    assert not (tmp_path / "privacy.json").exists()


def test_answers_without_noise_are_told_apart_and_end_a_budget(tmp_path):
    _charge(_ledger(tmp_path), rounds=range(2), privacy=None)
    assert _ledger(tmp_path).epsilon() == 0
    assert "2 answers without it, to which no epsilon applies" in _ledger(tmp_path).sentence()
    with pytest.raises(Refused, match="got 2 answers without it"):
        _ledger(tmp_path, epsilon_at_most=3.0).require_room("b", rounds=1, privacy=NOISE, scans=1)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": {"train": []}}', '{"a": 3}'])
def test_a_damaged_ledger_is_no_empty_one(tmp_path, text):
    (tmp_path / "privacy.json").write_text(text)
    with pytest.raises(ValueError, match="expected what this site told of its people"):
        _ledger(tmp_path)


def test_demands_protect_something():
    assert read_demands({}) == Demands(None, 1e-5)
    assert read_demands({"epsilon_at_most": 3}) == Demands(3.0, 1e-5)
    for wrong in ({"epsilon_at_most": 0}, {"epsilon_at_most": 1e3}, {"delta": 0.0}, {"delta": 1.0}):
        with pytest.raises(ValueError, match="expected above 0"):
            read_demands(wrong)
    with pytest.raises(Refused, match=r"expected dp_fedsgd\(...\), since this site demands"):
        require_demanded(Demands(3.0), None)
    require_demanded(Demands(), None)
    require_demanded(Demands(3.0), NOISE)


@pytest.fixture(scope="module")
def ended(scans, tmp_path_factory):
    """(a consortium under differential privacy that ran, its results)."""
    folder = tmp_path_factory.mktemp("privacy")
    some = Consortium(scans, folder, rounds=2, trainable="only_head()", privacy=PRIVACY)
    side = some.side()
    for name, of_site in some.clients.items():
        worker = some.worker(name)
        write_identity(worker.workdir, some.fields, "age", some.experiment, {name: of_site})
    state = some.run()
    return some, report([Ended(side, state, folder / "server")], workdir=folder / "server")


def test_a_run_between_hospitals_tells_epsilon_of_every_site(ended):
    some, results = ended
    assert not some.refused
    expected = epsilon_of(math.sqrt(3) / 2, DELTA)  # 2 rounds, validated 3 times
    for name in some.sites:
        assert results["clients"][name]["epsilon"] == pytest.approx(expected)
        assert some.worker(name).people.epsilons()["epsilon_of_all"] == pytest.approx(expected)
    assert f"{expected:.3g}" in render(results)
    assert "Differential privacy, of people who train or validate" in render(results)


def _answers(folder, round=0):
    """Bytes of the answers about training in a round."""
    kinds = {}
    for path in sorted(folder.glob("*/answers/train-*.bin")):
        kinds[path.parent.parent.name] = unpack(path.read_bytes(), limit=LIMIT)
    return kinds


def test_the_noise_is_a_secret_of_the_site_and_the_same_after_a_restart(ended, scans, tmp_path):
    some, _ = ended
    other = Consortium(scans, tmp_path, rounds=2, trainable="only_head()", privacy=PRIVACY)
    other.run()
    ours, theirs = _answers(some.folder), _answers(tmp_path)
    assert all(
        set(m.envelope.scalars) == {"weight", "count", "examples", "steps"} for m in ours.values()
    )
    for name in some.sites:
        a, b = (m[name].vectors["delta"] for m in (ours, theirs))
        assert np.linalg.norm(a - b) > 0.01 * np.linalg.norm(a)  # the server knows the seed
        secret = some.folder / name / "noise.key"
        assert secret.stat().st_mode & 0o077 == 0
        again = open_people(secret.parent, some.agreement, some.splits[name])
        assert (
            jax.random.key_data(again.root).tolist()
            == jax.random.key_data(some.worker(name).people.root).tolist()
        )


def test_a_budget_that_ends_stops_a_site_at_the_next_question(scans, tmp_path):
    some = Consortium(scans, tmp_path, rounds=2, trainable="only_head()", privacy=PRIVACY)
    whole = epsilon_of(math.sqrt(3) / 2, DELTA)
    shared = tmp_path / "ledger.json"
    worker = some.worker("amber")
    demands = Demands(whole + 0.01)
    how = {"ledger": shared, "demands": demands}
    worker.people = open_people(worker.workdir, some.agreement, some.splits["amber"], **how)
    _charge(Ledger(shared, delta_dp=DELTA), "elsewhere", rounds=range(2))  # meanwhile, another job
    with pytest.raises(ValueError, match="expected answers of at least 3 sites"):
        some.run()
    assert any("over all experiments of this site" in reason for reason in some.refused)
    told = json.loads(shared.read_text())
    assert Ledger(shared, delta_dp=DELTA).epsilon() <= whole + 0.01
    assert len(told) == 2


def test_training_alone_is_refused_under_privacy():
    job = {"regimes": ["federated", "local"], "client": {"privacy": PRIVACY}}
    with pytest.raises(Refused, match="'federated' alone under config.client.privacy"):
        require_runnable(job)
    require_runnable({**job, "client": {"privacy": "none()"}})


def _ages_from_sums(ages, seed, epsilon):
    """Mean error in years of the sorted ages, from the losses of 91 constant models."""
    grid = np.arange(91.0)
    losses = np.abs(grid[:, None] - ages)
    noise = noise_multiplier_of(epsilon, DELTA, sums=91) if epsilon else None
    privacy = dp_fedsgd(noise, 1.0, loss_bound=30.0) if noise else None
    keys = jax.random.split(jax.random.key(seed), 91)
    sums = [rounded(noisy_sum(row, privacy, key), 2) for row, key in zip(losses, keys)]
    rows = np.vstack([np.abs(grid - grid[:, None]), np.full(91, 1e3)])
    people, _ = nnls(rows, np.r_[sums, 1e3 * len(ages)], maxiter=20_000)
    ranks = np.cumsum(people)
    found = grid[np.minimum(np.searchsorted(ranks, np.arange(len(ages)) + 0.5), 90)]
    return np.abs(found - np.sort(ages)).mean()


def test_ages_that_constant_models_read_are_lost_in_the_noise():
    """docs/privacy.md: whoever asks nothing, and spreads ten people evenly, is 5 years off."""
    rng = np.random.default_rng(0)
    people = [rng.uniform(20, 80, 10) for _ in range(10)]
    error = {
        epsilon: np.mean([_ages_from_sums(ages, k, epsilon) for k, ages in enumerate(people)])
        for epsilon in (None, 8.0, 3.0, 1.0)
    }
    even = 20 + 6 * (np.arange(10) + 0.5)
    unasked = np.mean([np.abs(even - np.sort(ages)).mean() for ages in people])
    assert error[None] < 1.5 < unasked < error[8.0] < error[3.0] < error[1.0]
