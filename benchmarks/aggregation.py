"""Time, compile time and memory of every rule and link, against the speed of memory.

The cohort has the size of DenseNet-121.

    python -m benchmarks.aggregation --clients=8 [--rules=median,krum] [--coordinates=11243649]
    [--json=FILE]

Each rule is interleaved with three yardsticks on the same data: numpy's copy of the cohort into
memory that is there, XLA's copy (which asks for new memory, as every result does), and one float32
`D D^T` by numpy. Times are medians, a rule's also as a multiple of each. Memory is the compiler's:
result and temporaries as a multiple of the cohort, which itself counts
1. benchmarks/aggregation_others.py measures numpy, byzfl and flwr the same way.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from fedbrain.aggregators import LINKS, RULES
from fedbrain.experiments.spec import call

CLIENTS = flags.DEFINE_integer("clients", 8, "Of the cohort.")
COORDINATES = flags.DEFINE_integer("coordinates", 11_243_649, "Of a client's update.")
ONLY = flags.DEFINE_list("rules", [], "Names; all when empty.")
REPEATS = flags.DEFINE_integer("repeats", 5, "Interleaved repetitions.")
JSON = flags.DEFINE_string("json", "", "Where the numbers go.")


def seconds(f: Callable) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    jax.block_until_ready(f())
    return time.perf_counter() - start


def specs(clients: int) -> dict[str, str]:
    """name -> spec, where this many clients are enough and subsets are few."""
    least = {"n ≥ 2f+3": 5, "n ≥ 4f+3": 7, "n > 2f": 3}
    rows = {n: r for n, r in (RULES | LINKS).items() if clients >= least.get(r.needs, 1)}
    wanted = {n: r for n, r in rows.items() if not ONLY.value or n in ONLY.value}
    return {
        n: f"{n}({r.example})".replace("clients=9", f"clients={clients}") for n, r in wanted.items()
    }


def compiled(spec: str, x: jax.Array, reports: dict) -> tuple[Callable, float, float]:
    """(call, seconds to compile, temporaries as a multiple of the cohort)."""
    link = call(spec, {n: r.make for n, r in (RULES | LINKS).items()})
    state = link.init(jnp.zeros(x.shape[1]))
    run = jax.jit(
        lambda x, state, reports: jax.tree.leaves(link.update(x, state, None, **reports)[0])
    )
    start = time.perf_counter()
    program = run.lower(x, state, reports).compile()
    took = time.perf_counter() - start
    memory = program.memory_analysis()
    out = memory.output_size_in_bytes + memory.temp_size_in_bytes if memory else float("nan")
    return (lambda: program(x, state, reports)), took, out / x.nbytes


def main(argv: list[str]) -> None:
    """Prints a line per rule."""
    del argv
    c, p = CLIENTS.value, COORDINATES.value
    data = np.random.default_rng(0).standard_normal((c, p), dtype=np.float32) + 0.5
    x = jnp.asarray(data)
    rng = np.random.default_rng(1)
    metrics = {
        k: jnp.asarray(rng.uniform(1, 3, c), jnp.float32)
        for k in ("loss", "count", "global_loss", "steps")
    }
    reports = {"weights": jnp.asarray(rng.integers(10, 500, c), jnp.float32), "metrics": metrics}
    reports["extra"] = x  # as Fisher information
    metrics["trusted"] = jnp.zeros(c).at[0].set(1.0)
    target = np.empty_like(data)
    copy, gram = (lambda: np.copyto(target, data)), (lambda: data @ data.T)
    doubled = jax.jit(lambda x: x + x)
    print(
        f"{c} clients x {p} coordinates ({data.nbytes / 1e6:.0f} MB),"
        f" {jax.devices()[0].device_kind}"
    )
    print(
        "rule                        seconds  of copy  of XLA copy  of D D^T   GB/s  compile s "
        " memory"
    )
    lines = []
    for name, spec in specs(c).items():
        f, took, memory = compiled(spec, x, reports)
        every = (f, copy, lambda: doubled(x), gram)
        for g in every:
            seconds(g)
        mine, one, xla, square = np.median(
            [[seconds(g) for g in every] for _ in range(REPEATS.value)], axis=0
        )
        line = {
            "rule": name,
            "seconds": mine,
            "of_copy": mine / one,
            "of_xla_copy": mine / xla,
            "of_gram": mine / square,
            "gb_per_s": data.nbytes / mine / 1e9,
            "compile_s": took,
            "memory": 1 + memory,
        }
        lines.append(line)
        shown = [
            f"{line[k]:10.2f}"
            for k in ("of_copy", "of_xla_copy", "of_gram", "gb_per_s", "compile_s", "memory")
        ]
        print(f"{name:26s} {mine:8.3f}", *shown, flush=True)
    if JSON.value:
        Path(JSON.value).write_text(
            json.dumps({"clients": c, "coordinates": p, "lines": lines}, indent=2) + "\n"
        )


if __name__ == "__main__":
    app.run(main)
