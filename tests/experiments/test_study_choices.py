"""What a study cannot run is refused before its first cell."""

import pytest

from fedbrain.experiments import compare
from tests.experiments.test_study import small


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
    ],
)
def test_mistakes_anywhere_are_refused_before_the_first_cell(
    fields, sentence, tmp_path, monkeypatch
):
    monkeypatch.setattr(compare, "measure", lambda *_: pytest.fail("A cell was begun."))
    with pytest.raises(ValueError, match=sentence):
        compare.run(small(**fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()
