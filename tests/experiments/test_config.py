"""Configuration: calls without eval, errors like a colleague's, every field read and reachable."""

import importlib
import re
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from fedbrain.algorithms.optimizers import OPTIMIZERS
from fedbrain.configs import base
from fedbrain.experiments import grid
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.spec import call

CONFIGS = sorted(
    p.stem
    for p in (Path(__file__).parents[2] / "configs").glob("*.py")
    if p.stem not in ("__init__", "base", "study", "grid", "sweep")
)
TABLE = {"krum": lambda num_byzantine=0: ("krum", num_byzantine), "mean": lambda: "mean"}


def test_a_call_a_bare_name_and_added_arguments():
    assert call("krum(num_byzantine=2)", TABLE) == ("krum", 2)
    assert call("krum(1)", TABLE) == ("krum", 1)
    assert call(" mean ", TABLE) == "mean"
    assert call("krum", TABLE, num_byzantine=3) == ("krum", 3)
    assert call("adam(1e-3)", OPTIMIZERS).init is not None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("krumm()", r"Unknown 'krumm'. Did you mean 'krum'\? Choose from: krum, mean."),
        ("krum(byzantine=1)", "unexpected keyword argument 'byzantine'"),
        ("krum(1, 2)", "too many positional"),
        ("krum(open('x'))", "literal arguments"),
        ("__import__('os').system('true')", "Expected a call"),
        ("lambda: 1", "Expected a call"),
        ("krum(", "Expected a call"),
        ("", "Expected a call"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(spec, message):
    with pytest.raises(ValueError, match=message):
        call(spec, TABLE)


@pytest.mark.parametrize(
    "changes",
    [
        {"baselines": ("linear('age')",)},
        {"target": "z_score()"},
        {"norms": ("regression('a', 1)",)},
    ],
)
def test_what_needs_a_number_is_refused_for_classes(changes):
    c = base.get_config()
    c.update({"loss": "cross_entropy(3)", "views": "averaged(flip=True)", "splits": {"inner": 2}})
    assert read_experiment(c).classes == ("0", "1", "2")
    c.update(changes)
    with pytest.raises(ValueError, match=f"config.{next(iter(changes))}: .* predicts classes"):
        read_experiment(c)


class _Spy:
    """A configuration that remembers which fields were read."""

    def __init__(self, config, prefix="", seen=None):
        self._config, self._prefix, self._seen = config, prefix, [] if seen is None else seen

    def __getattr__(self, name):
        value = getattr(self._config, name)
        if isinstance(value, ConfigDict) and name != "sites":
            return _Spy(value, f"{self._prefix}{name}.", self._seen)
        self._seen.append(self._prefix + name)
        return value


def _leaves(config, prefix=""):
    for name, value in config.items():
        if isinstance(value, ConfigDict) and name != "sites":
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_field_is_read_once():
    spy = _Spy(base.get_config())
    read_experiment(spy)
    assert sorted(spy._seen) == sorted(_leaves(base.get_config()))


@pytest.mark.parametrize(
    ("algorithm", "aggregator", "optimizer", "message"),
    [
        ("mime()", "weighted_mean()", "adam(1e-3)", "without momentum.*='mime"),
        ("mimelite()", "weighted_mean()", "sgd(0.1, momentum=0.9)", "without momentum"),
        ("fedavg()", "fednova()", "adam(1e-3)", "without momentum.*='fednova"),
        ("fedavg()", "fednova(momentum=0.9)", "sgd(0.1)", "momentum=0.9"),
        ("fedavg()", "fednova(0.9)", "sgd(0.1, 0.9, nesterov=True)", "momentum=0.9"),
        ("report_global_loss()", "q_fedavg(1.0, 0.1)", "yogi(0.1)", "without momentum"),
        ("report_global_loss()", "q_fedavg(1.0, 0.1)", "sgd(0.2)", "expected the learning_rate of"),
    ],
)
def test_a_formula_that_does_not_hold_for_the_clients_is_refused(
    algorithm, aggregator, optimizer, message
):
    c = base.get_config()
    c.algorithm, c.server.aggregator, c.client.optimizer = algorithm, aggregator, optimizer
    with pytest.raises(ValueError, match=f"^config.*{message}"):
        read_experiment(c)


@pytest.mark.parametrize("optimizer", ["sgd(0.5)", "sgd(1.0, momentum=0.9)", "adam(0.1)"])
def test_a_server_that_does_not_take_the_mean_is_refused_for_the_left_out_loss(optimizer):
    c = base.get_config()
    c.algorithm, c.server.aggregator = "report_left_out_loss()", "fedce(clients=3)"
    assert read_experiment(c)
    c.server.optimizer = optimizer
    with pytest.raises(ValueError, match=r"^config.server.optimizer: expected sgd\(1.0\)"):
        read_experiment(c)


@pytest.mark.parametrize(
    ("aggregator", "optimizer"),
    [("fednova(momentum=0.9)", "sgd(0.1, momentum=0.9)"), ("q_fedavg(1.0, 0.1)", "sgd(0.1)")],
)
def test_a_formula_that_holds_for_the_clients_is_accepted(aggregator, optimizer):
    c = base.get_config()
    c.server.aggregator, c.client.optimizer = aggregator, optimizer
    c.algorithm = "report_global_loss()"  # what q-FedAvg needs
    assert read_experiment(c)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_builds_and_opens_with_its_command(name):
    module = importlib.import_module(f"fedbrain.configs.{name}")
    assert re.search(rf"    fedbrain (train|grid|compare|sweep) {name}\b", module.__doc__ or "")
    if "methods" in module.get_config():
        return  # a study: tests/experiments/test_study.py
    config = module.get_config()
    configs = (
        [cell.config for cell in grid.cells(config, Path("runs"))] if "rows" in config else [config]
    )
    for experiment in map(read_experiment, configs):
        assert experiment.sites
        one_hospital = name == "brain_age_ixi"
        assert set(experiment.regimes) >= {"centralised" if one_hospital else "federated"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model", "densnet121()", "config.model: Unknown 'densnet121'. Did you mean 'densenet121'"),
        ("loss", "l1(scale=0.0)", "config.loss: Expected scale=0.0 > 0"),
        ("rounds", 0, "config.rounds: expected an integer >= 1, got 0"),
        ("regimes", ("federeted",), "Did you mean 'federated'"),
        ("regimes", (), "config.regimes: expected at least one name, each once, got ()."),
        ("modalities", (), "config.modalities: expected at least one name, each once, got ()."),
        ("modalities", ("T1w", "T1w"), "config.modalities: expected at least one name, each once"),
        ("seed", -1, "config.seed: expected an integer >= 0, got -1"),
        (
            "prepare",
            "conform(voxel_size_mm='3')",
            "config.prepare: Expected voxel_size_mm to be a number, got '3'",
        ),
        (
            "sites",
            ConfigDict({"a": "bids('x', columns='age')"}),
            "config.sites.a: Expected columns to be {text in quotes: text in quotes}",
        ),
        (
            "patience",
            ConfigDict({"stop": 0, "plateau": 0, "factor": 0.0}),
            "config.patience.factor: expected a number > 0",
        ),
        ("patience", ConfigDict({"stop": -1}), "config.patience.stop: expected an integer >= 0"),
        ("patience", ConfigDict({"stop": 0, "plateau": -1}), "config.patience.plateau: expected"),
        ("driver", "chunk(size=0)", "config.driver: Expected size=0 >= 1"),
        (
            "sites",
            ConfigDict({"a": "bids()"}),
            "config.sites.a: 'bids\\(\\)': missing a required argument: 'root'",
        ),
    ],
)
def test_a_wrong_field_is_named(field, value, message):
    config = base.get_config()
    config[field] = value
    with pytest.raises(ValueError, match=message):
        read_experiment(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"batch_size": 7},
            "config.driver: expected batches that 2 devices share evenly, got"
            " client.batch_size=7; 6 or 8 would do.",
        ),
        (
            {"batch_size": 6, "microbatches": 2},
            "config.driver: expected batches in 2 microbatches that 2 devices share evenly, got"
            " client.batch_size=6; 4 or 8 would do.",
        ),
        (
            {"privacy": "dp_fedsgd(noise_multiplier=1.0, clip_norm=1.0, loss_bound=40.0)"},
            "config.driver: expected devices that do not share batches, since",
        ),
        (
            {"batch_size": 8, "microbatches": 3},
            "config.client.microbatches: expected a divisor of batch_size=8 (1, 2, 4, 8), got 3.",
        ),
    ],
)
def test_batches_that_devices_cannot_share_are_refused_with_those_that_fit(fields, message):
    config = base.get_config()
    config.driver = "processes(shard(devices=2, batch=2))"
    config.client.update(fields)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_experiment(config)


@pytest.mark.parametrize(
    ("group", "field", "value", "message"),
    [
        ("client", "optimizer", "adam(-1)", "client.optimizer: Expected 0 < learning_rate <"),
        ("client", "optimizer", "sgd(.1, momentum=1)", "Expected 0 <= momentum < 1, got 1"),
        ("client", "optimizer", "adamw(1e-3, weight_decay=-1)", "Expected 0 <= weight_decay <"),
        ("client", "transforms", ("clip_by_global_norm(0.0)",), "transforms: Expected 0 < max_n"),
        ("server", "optimizer", "fedavgm(0.0)", "server.optimizer: Expected 0 < learning_rate"),
    ],
)
def test_a_rate_out_of_its_range_is_named(group, field, value, message):
    config = base.get_config()
    config[group][field] = value
    with pytest.raises(ValueError, match=message):
        read_experiment(config)


def test_impossible_splits_are_named():
    config = base.get_config()
    config.splits.valid = 0.9
    with pytest.raises(ValueError, match="config.splits: expected valid"):
        read_experiment(config)


def test_local_statistics_become_private_leaves():
    config = base.get_config()
    config.model = "adapted_sfcn()"
    config.server.statistics = "local()"
    algorithm = read_experiment(config).algorithm
    private = algorithm.init_client(
        {"params": {"norm1": {"scale": 1.0}}, "batch_stats": {"norm1": {"mean": 2.0}}}
    )
    assert private.model_state == {"batch_stats": {"norm1": {"mean": 2.0}}}
    assert private.params == {"norm1": {"scale": None}}
