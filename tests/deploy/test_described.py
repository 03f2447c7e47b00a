"""Tables of cohorts between hospitals: numbers that come back, and what no site can have told."""

import numpy as np
import pytest

from fedbrain.data.describe import sums
from fedbrain.deploy.protocol.described import described_names, described_numbers, read_described
from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.wire import Refused

EDGES = {"target": (20.0, 30.0, 40.0, 50.0, 60.0), "sex": (-0.5, 0.5, 1.5)}


def _told(people, *, fewest=5):
    rng = np.random.default_rng(people)
    values = {"target": rng.uniform(20, 60, people), "sex": rng.integers(0, 2, people) * 1.0}
    values["sex"][:1] = np.nan
    return {name: sums(values[name], EDGES[name], fewest=fewest) for name in EDGES}


@pytest.mark.parametrize("people", [0, 3, 7, 40])
def test_numbers_come_back(people):
    told = _told(people)
    numbers = described_numbers(EDGES, told)
    assert list(numbers) == described_names(EDGES)
    assert read_described(EDGES, numbers, people) == told


def test_a_site_that_asks_for_more_people_in_a_class_merges_more():
    told = _told(40, fewest=15)["target"]
    assert min(count for count in told.counts if count) >= 15
    assert _told(40, fewest=60)["target"].withheld


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"target: people": 39.5}, "target: expected counts, got other numbers"),
        ({"target: people": 39.0}, "target: expected counts of classes that add up"),
        ({"target: edge 0": 0.0}, "target: expected counts of classes that add up"),
        ({"sex: count 0": -1.0}, "sex: expected counts"),
        ({"sex: edge 1": 3.0}, "sex: expected counts, got other numbers"),
        ({"target: scans": 1.0}, "target: expected counts of classes that add up"),
        ({"target: scans": 41.0}, "target: expected values of the 40 scans declared, .* got 41"),
        ({"sex: missing": 9.0}, "sex: expected values of the 40 scans declared"),
        ({"target: xxx": -1e200}, "target: expected sums up to 1e\\+18, got larger ones"),
    ],
)
def test_counts_that_cannot_be_are_refused(change, sentence):
    numbers = described_numbers(EDGES, _told(40)) | change
    with pytest.raises(Refused, match=sentence):
        read_described(EDGES, numbers, 40)


def test_tables_without_noise_are_refused_under_differential_privacy():
    config = {"describe": ("classes('sex', 0, 1)",), "client": {"privacy": "dp_fedsgd(1.0, 1.0)"}}
    with pytest.raises(Refused, match="config.describe: .* have no noise"):
        require_runnable(config)
