"""Seconds of one training step of PyTorch by kind of operation, from its profiler: of the thread
that calls.

Task: as torch_step.
"""

import json
import re
import sys
from collections import Counter

from torch.profiler import ProfilerActivity, profile

from benchmarks.peers.torch_step import set_up

NAMES = {
    "normalisation": r"batch_norm",
    "relu": r"relu|threshold|clamp_min",
    "pooling": r"pool",
    "copies": r"cat|copy|slice|narrow|contiguous|clone|to_copy|stride|split|zeros|fill|zero_",
    "optimizer": r"adam|foreach",
    "products": r"addmm|linear|::mm$|matmul",
}


def kind_of(name: str, shapes: list) -> str:
    """The kind of an operation of ATen; a convolution's by the size of its kernel."""
    if "conv" in name:
        kernels = [s for s in shapes if len(s) == 5 and s[2] == s[3] == s[4]]
        return "products" if any(s[2] == 1 for s in kernels) else "kernels"
    return next((kind for kind, pattern in NAMES.items() if re.search(pattern, name)), "other")


def main() -> None:
    """Answers every line with a step."""
    lap = set_up(json.loads(sys.argv[1]))
    lap()
    lap()
    print(json.dumps({}), flush=True)
    for _ in sys.stdin:
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as told:
            lap()
        kinds: Counter[str] = Counter()
        for event in told.key_averages(group_by_input_shape=True):
            kinds[kind_of(event.key, event.input_shapes)] += event.self_cpu_time_total / 1e6
        print(json.dumps({"kinds": kinds}), flush=True)


if __name__ == "__main__":
    main()
