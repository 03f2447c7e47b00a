"""The same cohort through numpy, byzfl and flwr, as multiples of a copy.

In the environment of tools/make_golden_rules.py:

python -m benchmarks.aggregation_others 8 [COORDINATES] [NAME ...]
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from tools.make_golden_rules import byzfl_rules, flower_rules


def seconds(f: Callable) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def main(clients: int, coordinates: int, only: list[str]) -> None:
    """Prints a line per rule."""
    import torch  # pyright: ignore[reportMissingImports]

    x = np.random.default_rng(0).standard_normal((clients, coordinates), dtype=np.float32) + 0.5
    n = np.random.default_rng(1).integers(10, 500, clients)
    target, tensor = np.empty_like(x), torch.from_numpy(x)
    rules = {
        "numpy mean": lambda: (n / n.sum()).astype(np.float32) @ x,
        "numpy median": lambda: np.median(x, axis=0),
        "numpy D D^T": lambda: x @ x.T,
    }
    # clipping changes its argument in place: it gets a copy, whose time is in the line
    rules |= {f"byzfl {k}": (lambda f=f: f(tensor.clone())) for k, f in byzfl_rules().items()}
    rules |= {
        f"flwr {k.removeprefix('flwr ')}": (lambda f=f: f(x, n))
        for k, f in flower_rules().items()
        if "weights" not in k
    }
    print(f"{clients} clients x {coordinates} coordinates, {torch.get_num_threads()} threads")
    for name, f in rules.items():
        if only and not any(o in name for o in only):
            continue
        try:
            seconds(f)
            times = np.asarray(
                [[seconds(f), seconds(lambda: np.copyto(target, x))] for _ in range(3)]
            )
        except (ValueError, MemoryError, RuntimeError) as error:
            print(f"{name:40s} {error}")
            continue
        mine, copy = np.median(times, axis=0)
        print(f"{name:40s} {mine:8.3f} s {mine / copy:8.1f} of copy", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int((sys.argv[2:] or ["11243649"])[0]), sys.argv[3:])
