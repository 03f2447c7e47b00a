"""What a study cannot run is refused before its first cell."""

import pytest

from fedbrain.experiments import compare
from tests.experiments.test_study import small

RATES = {"fields": {"client": {"optimizer": ("sgd(0.1)", "sgd(0.3)")}}}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"methods": {"FedAvg": {}, "Krum": {"server": {"aggregator": "krum()"}}}},
            r"^Krum under none: config.server.aggregator: 'krum\(\)': missing a required argument",
        ),
        ({"attacks": {"late": {"clock": "buffered()"}}}, r"^FedAvg under late: config.clock: "),
        ({"every": 4}, r"^FedAvg under none: config.every: expected a divisor of rounds=6, got 4"),
        ({"regime": "alone"}, r"config.regime: expected one of"),
        (
            {"clock": "power_of_choice(candidates=2)"},
            r"config.cohort: expected at most the candidates of .*, got 3 of 3 clients",
        ),
        (
            {"server": {"aggregator": "fltrust()"}},
            r"config.server.trusted: expected a client .*'fltrust\(\)' compares .*, got none",
        ),
        (
            {"server": {"aggregator": "fltrust()", "trusted": ("c9",)}},
            r"config.server.trusted: expected some of \['c0', 'c1', 'c2'\], got \['c9'\]",
        ),
        (
            {"server": {"trusted": ("c0",)}, "cohort": 1},
            r"config.server.trusted: expected fewer than the 1 clients of a round",
        ),
        (
            {"server": {"trusted": ("c0",)}, "clock": "buffered(2)"},
            r"config.clock: expected one with rounds",
        ),
        (
            {"algorithm": "fedrep(head_steps=3)", "client": {"steps": 3}},
            r"config.algorithm: expected fewer head_steps than .*'fedrep\(head_steps=3\)' and 3 in",
        ),
        (
            {"server": {"aggregator": "feddisco()"}},
            r"config.algorithm: expected report_discrepancy\(...\), whose clients report",
        ),
        ({"client": {"optimizer": "sgd(0.1, nesterov=True)"}}, r"a momentum > 0 beside nesterov"),
        (
            {"server": {"aggregator": "divide_and_conquer(1, coordinates=0)"}},
            r"config.server.aggregator: Expected coordinates and iterations >= 1",
        ),
        ({"loss": "l1()"}, r"config.loss: l1\(\) does not fit"),
        ({"score": "worst"}, r"^config.score: expected one of .*, got 'worst'"),
        ({"against": ("fedavg",)}, r"^config.against: expected some of \['FedAvg'.*\['fedavg'\]"),
        ({"choices": {"own": ("FedAvg", "alone")}}, r"^config.choices: expected .*\['alone'\]"),
        ({"tune": {"trials": -1}}, r"^config.tune.trials: expected an integer >= 0, got -1"),
        ({"tune": {"trials": 1, **RATES}}, r"^config.tune.trials: expected an integer >= 2, got 1"),
        ({"tune": {"trials": 3, **RATES}}, r"^config.tune.trials: .* the 2 settings .* 'FedAvg'"),
        (
            {"tune": {"trials": 2}},
            r"^config.tune.fields: expected fields to tune 'FedAvg' in, got none",
        ),
        (
            {"tune": {"trials": 2, "parts": 1, **RATES}},
            r"^config.tune.parts: expected an integer >= 2, got 1",
        ),
        (
            {"tune": {"trials": 2, "fields": {"rounds": (3, 6)}}},
            r"^config.tune.fields: expected fields of algorithm, client, server, got 'rounds'",
        ),
        (
            {"tune": {"trials": 2, "fields": {"client": {"optimizer": "sgd(0.1)"}}}},
            r"^config.tune.fields: expected a tuple of the values tried of client.optimizer",
        ),
        (
            {"tune": {"trials": 2, "fields": {"client": {"rate": (0.1, 0.2)}}}},
            r"'tune, FedAvg' sets a field that a study does not have",
        ),
        (
            {"tune": {"trials": 2, "fields": {"client": {"optimizer": ("sgd(0.1)", "sgd()")}}}},
            r"^FedAvg under none with client.optimizer=sgd\(\): config.client.optimizer: ",
        ),
        (
            {"tune": {"methods": {"median": {"client": {"optimizer": ("sgd(0.1)",)}}}}},
            r"^config.tune.methods: expected some of \['FedAvg'\], got \['median'\]",
        ),
        (
            {"tune": {"trials": 2, **RATES}, "score": "best"},
            r"^config.score: .* beside config.tune",
        ),
        (
            {"tune": {"trials": 2, **RATES}, "choices": {"own": ("FedAvg",)}},
            r"^config.choices: expected none beside config.tune.trials",
        ),
    ],
)
def test_mistakes_anywhere_are_refused_before_the_first_cell(
    fields, sentence, tmp_path, monkeypatch
):
    monkeypatch.setattr(compare, "measure", lambda *_: pytest.fail("A cell was begun."))
    with pytest.raises(ValueError, match=sentence):
        compare.run(small(**fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()
