"""Freed memory stays with the process, unless a user has said otherwise."""

import os
import platform
import subprocess
import sys

import pytest

from fedbrain.cli import allocator

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
BLOCKS = """
import resource
from fedbrain.cli import allocator
import numpy as np
print(allocator.keep_memory())
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(1 << 24)  # 128 MB
before = faults()
for _ in range(5):
    np.ones(1 << 24)
print(faults() - before)
"""


def run(**environment):
    clean = {k: v for k, v in os.environ.items() if "MALLOC" not in k and k != "GLIBC_TUNABLES"}
    command = [sys.executable, "-c", BLOCKS]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True)
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


@glibc
def test_a_block_that_was_freed_is_not_asked_for_again():
    kept, faults = run()
    assert kept
    assert faults < 100


@glibc
@pytest.mark.parametrize(
    ("name", "value"), [("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0"), ("MALLOC_ARENA_MAX", "2")]
)
def test_the_settings_of_a_user_stay(name, value):
    kept, faults = run(**{name: value})
    assert not kept
    assert faults > 1000


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not allocator.keep_memory()
