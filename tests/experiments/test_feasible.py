"""A rule that is not defined for the clients of a round is refused before the first one."""

from typing import Any

import pytest

from fedbrain.aggregators import RULES
from fedbrain.configs import base
from fedbrain.experiments.feasible import fewest_clients, require_defined
from fedbrain.experiments.federation import require_trained
from fedbrain.experiments.round_end import Snapshot
from fedbrain.training.sampling import cyclic, everyone, uniform
from fedbrain.training.selection import Patience, observe, start

NAMES = ["amber", "birch", "cedar"]


def config(aggregator, links=(), algorithm="fedavg()"):
    c = base.get_config()
    c.server.aggregator, c.server.links, c.algorithm = aggregator, links, algorithm
    return c


@pytest.mark.parametrize(
    ("aggregator", "links", "needed"),
    [
        ("krum(num_byzantine=1)", (), 5),
        ("multi_krum(num_byzantine=2)", (), 7),
        ("bulyan(num_byzantine=1)", (), 7),
        ("trimmed_mean(num_byzantine=2)", (), 5),
        ("minimum_diameter(num_byzantine=2)", (), 5),
        ("krum(num_byzantine=1)", ("bucketing(size=2)",), 9),
        ("weighted_mean()", (), 3),
        ("median()", (), 3),
    ],
)
def test_the_rule_itself_says_how_many_clients_it_needs(aggregator, links, needed):
    assert fewest_clients(config(aggregator, links), 3) == needed


@pytest.mark.parametrize("name", sorted(RULES))
def test_no_rule_is_refused_for_nine_clients(name):
    assert fewest_clients(config(f"{name}({RULES[name].example})"), 9) == 9


@pytest.mark.parametrize("algorithm", ["scaffold()", "feddyn(alpha=0.1)", "ditto(penalty=0.1)"])
def test_algorithms_with_a_memory_of_their_own(algorithm):
    assert fewest_clients(config("weighted_mean()", algorithm=algorithm), 2) == 2


def test_the_clients_that_are_drawn_count():
    c = config("trimmed_mean(num_byzantine=1)")
    require_defined(c, everyone(), NAMES)
    require_defined(c, cyclic(), NAMES[:1])  # one client alone: as before
    with pytest.raises(ValueError, match=r"not defined for 2 clients; it needs 3 or more"):
        require_defined(c, uniform(2), NAMES)
    with pytest.raises(ValueError, match=r"not defined for 1 client; it needs 3 or more"):
        require_defined(c, cyclic(), NAMES)


def test_a_rule_that_cannot_be_tried_is_not_refused():
    assert fewest_clients(config("weighted_mean()", algorithm="fedrep(1)"), 2) == 2


@pytest.mark.parametrize(
    ("rejected", "defined", "cause"),
    [
        (1.0, True, "no client sent finite numbers. Lower"),
        (0.0, False, "not defined for 2 clients. Choose another rule"),
        (0.0, True, "the server's step was not finite. Lower"),
    ],
)
def test_the_end_names_one_cause(tmp_path, rejected, defined, cause):
    selection = observe(start(), 1.0, round=1, patience=Patience())
    state: Any = None
    snapshot = Snapshot(state, [], selection, state, [])
    line = {
        "skipped": 1.0,
        "rejected": {"a": rejected, "b": rejected},
        "steps": {"a": 2.0, "b": 1.0},
    }
    with pytest.raises(ValueError, match=f"every round was skipped: .*{cause}"):
        require_trained(tmp_path, snapshot, [line], defined=lambda n: defined)
