"""Labels of another scale are warned of, and those that are as they should be are not."""

import numpy as np
import pytest

from fedbrain.experiments.label_range import describe_labels, odd_labels

AGES = np.array([20.0, 47, 75])


@pytest.mark.parametrize(
    ("labels", "unit", "told"),
    [
        ({"a": AGES, "b": AGES + 30}, "years", []),
        ({"a": AGES * 12}, "years", ["a: 3 of 3 labels are no ages in years", "240 to 900"]),
        ({"a": np.array([20.0, -9, 999])}, "years", ["a: 2 of 3 labels", "-9 to 999"]),
        ({"a": AGES * 12, "b": AGES}, "years", ["a: 3 of 3 labels"]),
        ({"a": AGES, "b": AGES * 12}, "points", ["labels of b", "12.0 times those of a"]),
        ({"a": AGES, "b": -AGES}, "points", []),
        ({"a": AGES, "b": AGES[:0]}, "years", []),
        ({"a": AGES * 12}, "months", []),
        ({"a": AGES * 0 + 50}, "points", ["a: every label is 50"]),
    ],
)  # fmt: skip
def test_odd_labels(labels, unit, told):
    sentences = list(odd_labels(labels, unit))
    assert len(sentences) == bool(told)
    for text in told:
        assert text in sentences[0]


def test_a_client_without_labels_is_not_described():
    assert list(describe_labels({"a": AGES[:0]}, "years", ())) == []
