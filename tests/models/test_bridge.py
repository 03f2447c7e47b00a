"""The bridge to oneDNN when a program ends, is interrupted or forks.

A daemon thread that computes while the interpreter ends aborts the process; JAX alone does the
same, so no test is about it.
"""

import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="oneDNN's package is for Linux on x86-64",
)
BEGIN = """
import os, sys
import jax, jax.numpy as jnp
from fedbrain.models.convolution import conv3d
x, kernel = jnp.ones((2, 16, 16, 16, 8)), jnp.ones((3, 3, 3, 8, 8))
many = jax.jit(lambda x, kernel: sum(conv3d(x * i, kernel).sum() for i in range(20)))
assert "fedbrain_onednn" in many.lower(x, kernel).as_text()
print("begun", float(many(x, kernel)), flush=True)
"""
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "JAX_PLATFORMS": "cpu"}
PROGRAMS = {  # how a program goes on -> what it prints at its end
    "work under way at the end": (
        "under_way = [many(x, kernel) for _ in range(20)]\nprint('end', flush=True)",
        "end",
    ),
    "work under way that nobody keeps": (
        "for _ in range(20):\n    many(x, kernel)\nprint('end', flush=True)",
        "end",
    ),
    "a child without computation": (
        "import warnings\n"
        "warnings.simplefilter('ignore')  # JAX's, of forks\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(7)\n"
        "print('child', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
        "many(x, kernel).block_until_ready()\n"
        "print('end', flush=True)",
        "child 7\nend",
    ),
    "an error that nobody catches": (
        "many(x, kernel)\nraise SystemExit('the sentence')",
        "the sentence",
    ),
}


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    """A program from its start to its end."""
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_as_it_says(name):
    code, end = PROGRAMS[name]
    done = run(code)
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == (1 if name.startswith("an error") else 0), said
    assert said.endswith(end), said
    assert "FATAL" not in said


@pytest.mark.parametrize("instructions", ["SSE41", "AVX2"])
def test_a_processor_with_fewer_instructions_computes_the_same(instructions):
    """Every number that leaves a convolution is a whole one that float32 holds."""
    isa = "from fedbrain.models.convolution.onednn import library\n"
    isa += "print(library().dnnl_get_effective_cpu_isa())"
    done, full = run(isa, ONEDNN_MAX_CPU_ISA=instructions), run(isa)
    assert done.returncode == full.returncode == 0, done.stderr
    (sums, fewer), (all_sums, most) = done.stdout.splitlines(), full.stdout.splitlines()
    assert sums == all_sums
    assert int(fewer) < int(most)


def test_ctrl_c_ends_a_program_between_two_calls():
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # none in the background
        "try:\n"
        "    while True:\n"
        "        many(x, kernel)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)"
    )
    command = [sys.executable, "-c", BEGIN + code]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=ENVIRONMENT, **pipe) as process:
        try:
            assert process.stdout.readline().startswith("begun")
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            said, error = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (said, process.returncode) == ("interrupted\n", 0), error
