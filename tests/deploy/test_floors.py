"""Floors at a site: people in every part, steps of a round, people in a step, labels in a loss."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

from fedbrain.data.dataset import Scans
from fedbrain.data.splits import Split
from fedbrain.deploy.protocol.wire import Refused
from fedbrain.deploy.site_side.floors import (
    local_round,
    require_body,
    require_every_label,
    require_floors,
    require_shared_steps,
    rounded,
)
from fedbrain.deploy.site_side.site_file import Policy


def _scans(people, scans_each=1, age=50.0):
    names = [f"sub-{k}" for k in range(people) for _ in range(scans_each)]
    ages = np.full(len(names), age, np.float32)
    return Scans(tuple(names), tuple(names), ages, list(np.zeros((len(names), 1, 1, 1, 1))), {})


def _policy():
    return Policy("amber", Path("/data"), "T1w", "", 20, 10, {"age": "age"}, {}, {}, {})


@pytest.mark.parametrize(
    ("people", "scans_each", "batch_size", "epochs", "expected"),
    [
        (20, 1, 4, 1, (5, 4)),
        (21, 1, 4, 1, (6, 1)),  # the last step is of one person
        (20, 3, 4, 1, (15, 2)),  # four scans of at least two people
        (20, 1, 4, 2, (10, 2)),  # the end of an epoch meets the next one's beginning
        (3, 1, 8, 1, (1, 3)),
    ],
)
def test_steps_and_people_of_a_round_are_counted(people, scans_each, batch_size, epochs, expected):
    counted = local_round(_scans(people, scans_each), batch_size=batch_size, epochs=epochs)
    assert counted == expected


@pytest.mark.parametrize(
    ("train", "valid", "change", "sentence"),
    [
        (19, 10, {}, "at least 20 training subjects at amber, got 19"),
        (20, 1, {}, "at least 10 validation subjects at amber, got 1"),
        (20, 10, {"batch_size": 20}, "local_steps: expected at least 3 at amber, got 1"),
        (21, 10, {}, "people_in_a_step: expected at least 2 at amber, got 1"),
    ],
)
def test_what_would_be_of_few_people_is_refused(train, valid, change, sentence):
    split = Split(_scans(train), _scans(valid), _scans(1))
    with pytest.raises(Refused, match=sentence):
        require_floors(_policy(), split, **{"batch_size": 4, "epochs": 1, **change})


def test_a_site_with_enough_people_takes_part_and_repeated_scans_are_one_person():
    how = {"batch_size": 4, "epochs": 1}
    require_floors(_policy(), Split(_scans(20), _scans(10), _scans(1)), **how)
    with pytest.raises(Refused, match="at least 20 training subjects"):
        require_floors(_policy(), Split(_scans(10, 2), _scans(10), _scans(1)), **how)


@pytest.mark.parametrize(
    ("head_steps", "sharing", "sentence"),
    [
        (4, "everything()", "of the body at amber, which is sent, got 1"),
        (4, "without_head()", "of the body at amber, which is sent, got 1"),
        (1, "everything()", "of the head at amber, which is sent, got 1"),
        (9, "without_head()", "of the body at amber, which is sent, got -4"),
        (2, "only_head()", "of the head at amber, which is sent, got 2"),
        (4, "only_head()", ""),
        (2, "without_head()", ""),
        (0, "everything()", ""),
    ],
)
def test_a_part_that_trains_in_fewer_steps_than_a_round_has_is_refused(
    head_steps, sharing, sentence
):
    """FedRep's body after one step is the exact gradient of a batch, whatever the head did."""
    config = {
        "algorithm": f"fedrep(head_steps={head_steps})",
        "client": {"batch_size": 4, "epochs": 1},
        "server": {"sharing": sharing},
    }
    split = Split(_scans(20), _scans(10), _scans(1))  # five steps
    if not sentence:
        return require_shared_steps(_policy(), config, split)
    with pytest.raises(Refused, match=f"local_steps: expected at least 3 {sentence}"):
        require_shared_steps(_policy(), config, split)


def test_fedrep_whose_body_would_never_train_at_this_site_is_refused():
    how = {"batch_size": 4, "epochs": 1}
    for algorithm in ("fedrep(head_steps=4)", "fedavg()", "fedrep(0)"):
        require_body(algorithm, _scans(20), **how)
    for algorithm, people in (("fedrep(head_steps=5)", 20), ("fedrep(4)", 16)):
        with pytest.raises(Refused, match="expected fewer head_steps than the local steps"):
            require_body(algorithm, _scans(people), **how)


@pytest.mark.parametrize("loss", ["soft_bins(low=0.0, high=49.0)", "cross_entropy(classes=40)"])
def test_a_loss_that_passes_over_people_is_refused(loss):
    """Two such losses whose edges differ by one person would give that person's gradient."""
    split = Split(_scans(20), _scans(10), _scans(10))
    with pytest.raises(Refused, match="hold every label of this site"):
        require_every_label(loss, split)
    for held in ("soft_bins(low=0.0, high=100.0)", "l1()", "cross_entropy(classes=51)"):
        require_every_label(held, split)


def _labels_from_sums(ages, digits):
    """Mean error in years of the sorted labels, from |age - c| summed for 91 constants c."""
    grid, asked = np.arange(5, 101, 0.5), np.arange(10, 101.0)
    sums = [rounded(float(np.abs(ages - c).sum()), digits) for c in asked]
    rows = np.vstack([np.abs(grid - asked[:, None]), np.full(len(grid), 1e3)])
    people, _ = nnls(rows, np.r_[sums, 1e3 * len(ages)], maxiter=20_000)
    ranks = np.cumsum(people) / people.sum() * len(ages)
    return np.abs(np.interp(np.arange(len(ages)) + 0.5, ranks, grid) - np.sort(ages)).mean()


def test_what_remains_when_every_round_of_a_job_asks_a_constant_model():
    """docs/threat_model.md: three digits hide little, two, the default, about a year; no names."""
    rng = np.random.default_rng(0)
    people = [rng.uniform(20, 80, 10) for _ in range(10)]
    errors = {d: np.mean([_labels_from_sums(ages, d) for ages in people]) for d in (0, 3, 2)}
    assert errors[0] < 0.35 < 0.7 < errors[2] < 1.5
    assert errors[3] < 0.5
