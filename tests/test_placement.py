"""The driver that is chosen when the configuration leaves it open."""

import pytest

from fedbrain.placement import Sizes, choose_driver, measure
from fedbrain.round import DRIVERS
from fedbrain.spec import call
from tests import tiny

GIB = 2**30


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (Sizes("cpu", 1, 100, 0, 0), "loop()"),
        (Sizes("gpu", 1, 1, GIB, 80 * GIB), "loop()"),
        (Sizes("gpu", 1, 3, GIB, 80 * GIB), "vmap()"),
        (Sizes("gpu", 1, 100, GIB, 80 * GIB), "chunk(size=64)"),
        (Sizes("gpu", 1, 3, 70 * GIB, 80 * GIB), "loop()"),
        (Sizes("gpu", 4, 3, 20 * GIB, 80 * GIB), "shard(devices=3)"),
        (Sizes("tpu", 4, 100, GIB, 16 * GIB), "chunk(size=12)"),
        (Sizes("gpu", 1, 3, GIB, 0), "loop()"),
    ],
)
def test_choice(sizes, expected):
    spec, reason = choose_driver(sizes)
    assert spec == expected
    assert reason
    if "shard" not in spec:  # which asks for devices that are not here
        call(spec, DRIVERS)


def test_sizes_on_a_cpu_cost_nothing():
    task = tiny.task()
    variables = tiny.variables(task)
    sizes = measure(tiny.algorithm(task), variables, tiny.example(), 3)
    assert sizes._replace(devices=1) == Sizes("cpu", 1, 3, 0, 0)
