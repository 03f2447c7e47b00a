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


def said(program, **environment):
    """The words that a program prints in a process of its own."""
    clean = {k: v for k, v in os.environ.items() if "MALLOC" not in k and k != "GLIBC_TUNABLES"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True)
    return done.stdout.split()


def run(**environment):
    kept, faults = said(BLOCKS, **environment)
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


COMPILING = """
import sys
sys.modules["jax"] = jax = type(sys)("jax")
listeners = []
jax.monitoring = type(sys)("jax.monitoring")
jax.monitoring.register_event_duration_secs_listener = listeners.append
from fedbrain.cli import allocator
import numpy as np
allocator.keep_memory()
allocator.give_back_after_compiling()
allocator.give_back_after_compiling()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 // 2**20
before = resident()
np.ones(1 << 24)  # 128 MB
[listener] = listeners
listener("/jax/other", 9.0, fun_name="f")
listener(allocator.COMPILED, 0.001, fun_name="f")
kept = resident() - before
listener(allocator.COMPILED, 9.0, fun_name="f")
print(kept, resident() - before)
"""


@glibc
def test_what_long_compiling_leaves_is_given_back():
    kept, after = map(int, said(COMPILING))
    assert kept > 120
    assert after < 10
