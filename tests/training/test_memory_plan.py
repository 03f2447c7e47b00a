"""The driver and the residence that are chosen when the configuration leaves them open."""

import pytest

from fedbrain.experiments.spec import call
from fedbrain.training.device_volumes import RESIDENCES
from fedbrain.training.maps import DRIVERS
from fedbrain.training.memory_plan import Sizes, choose_driver, choose_residence, measure
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


@pytest.mark.parametrize(
    ("sizes", "examples", "expected"),
    [
        (Sizes("gpu", 4, 3, 100 * GIB, 80 * GIB), 8, "shard(devices=4, batch=2)"),
        (Sizes("gpu", 8, 3, 200 * GIB, 80 * GIB), 8, "shard(devices=8, batch=4)"),
        (Sizes("gpu", 8, 1, 200 * GIB, 80 * GIB), 8, "shard(devices=4, batch=4)"),
        (Sizes("gpu", 8, 3, 200 * GIB, 80 * GIB), 5, "shard(devices=5, batch=5)"),
        (Sizes("gpu", 8, 3, 200 * GIB, 80 * GIB), 2, "loop()"),  # they would need four
        (Sizes("gpu", 1, 3, 100 * GIB, 80 * GIB), 8, "loop()"),
    ],
)
def test_a_client_that_is_larger_than_a_device(sizes, examples, expected):
    spec, reason = choose_driver(sizes, lambda n: sizes.client_bytes // n, examples=examples)
    assert spec == expected
    assert ("a client fits on" in reason) == spec.startswith("shard")
    assert ("one device does not hold a client" in reason) == (spec == "loop()")


def test_sizes_on_a_cpu_cost_nothing():
    task = tiny.task()
    variables = tiny.variables(task)
    sizes = measure(tiny.algorithm(task), variables, tiny.example(), 3)
    assert sizes._replace(devices=1) == Sizes("cpu", 1, 3, 0, 0)


@pytest.mark.parametrize(
    ("sizes", "volume_bytes", "expected"),
    [
        (Sizes("cpu", 1, 3, 0, 0), 0, "streamed()"),
        (Sizes("gpu", 1, 3, 10 * GIB, 80 * GIB), 8 * GIB, "resident()"),
        (Sizes("gpu", 1, 3, 10 * GIB, 24 * GIB), 8 * GIB, "streamed()"),
        (Sizes("gpu", 1, 3, 10 * GIB, 0), 8 * GIB, "streamed()"),
    ],
)
def test_volumes_stay_on_the_device_where_two_copies_fit(sizes, volume_bytes, expected):
    spec, reason = choose_residence(sizes, volume_bytes)
    assert spec == expected
    assert reason
    call(spec, RESIDENCES)
