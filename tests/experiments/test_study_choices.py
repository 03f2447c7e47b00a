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
