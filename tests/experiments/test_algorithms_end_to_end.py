"""Algorithms with memories on images: a run that lost its last round ends in the same bits,
whatever it keeps and where.
"""

import json
import shutil

import pytest
from absl import flags

from fedbrain import main
from tests.experiment_under_test import config

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")

CHOICES = {
    "scaffold, Adam server": {"algorithm": "scaffold()", "server": {"optimizer": "fedadam(0.01)"}},
    "ditto, median": {
        "algorithm": "ditto(0.1)",
        "server": {"aggregator": "median()", "links": ("clip_by_quantile_norm()",)},
    },
    "feddyn, int8": {
        "algorithm": "feddyn(0.1)",
        "client": {"upload": "int8_with_feedback()", "optimizer": "sgd(1e-3)"},
    },
    "q-FedAvg, buckets of one": {
        "algorithm": "report_global_loss()",
        "client": {"optimizer": "sgd(1e-3)"},
        "server": {"aggregator": "q_fedavg(1.0, 1e-3)", "links": ("bucketing(1)",)},
    },
    "cyclic": {"server": {"sampling": "cyclic()"}},
    "FLTrust": {"server": {"aggregator": "fltrust()", "trusted": ("birch",)}},
    "MOON, FedBN": {"algorithm": "moon()", "server": {"sharing": "without_batch_norm()"}},
    "FedACG": {"algorithm": "fedacg()"},
    "FedLESAM, FedBN": {
        "algorithm": "fedlesam(1.0)",
        "server": {"sharing": "without_batch_norm()"},
    },
    "FedCE": {
        "algorithm": "report_left_out_loss()",
        "server": {"aggregator": "fedce(clients=3)"},
    },
    "SCAFFOLD of low rank": {"algorithm": "scaffold()", "trainable": "low_rank(1)"},
    "APFL, FedBN": {"algorithm": "apfl()", "server": {"sharing": "without_batch_norm()"}},
}


@pytest.fixture(autouse=True, scope="module")
def parsed():
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _history(workdir):
    """The lines of the log, without the times."""
    text = (workdir / "runs/federated/repeat0-split0/metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(line.pop("seconds") > 0 for line in lines)
    return lines


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_a_round_lost_is_a_round_done_again(choice, scans, tmp_path):
    c = config(scans, rounds=3, regimes=("federated",))
    c.update(choice)
    main.run(c, tmp_path / "run")
    results = (tmp_path / "run/results.json").read_bytes()
    history = _history(tmp_path / "run")
    shutil.rmtree(tmp_path / "run/runs/federated/repeat0-split0/checkpoints/steps/3")
    (tmp_path / "run/results.json").unlink()
    main.run(c, tmp_path / "run")
    assert (tmp_path / "run/results.json").read_bytes() == results
    assert _history(tmp_path / "run") == history
    last = history[-1]
    assert not last["skipped"]
    assert {"effective_weight", "influence", "drift", "rejected"} <= set(last)


def test_a_rule_without_enough_hospitals_is_refused_in_the_open(scans, tmp_path):
    """Krum needs 2f + 3 = 5 of 3: every round would be skipped, so none is run."""
    c = config(scans, rounds=2, regimes=("federated",))
    c.server.aggregator = "krum(num_byzantine=1)"
    with pytest.raises(
        ValueError, match=r"krum\(num_byzantine=1\) is not defined for 3 clients; it needs 5"
    ):
        main.run(c, tmp_path / "run")
    assert not (tmp_path / "run").exists()
