"""Seconds of one local step of fedbrain by kind of operation, from the profiler of JAX: of all
threads together.

Task: as fedbrain_step.
"""

import gzip
import json
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import jax

from benchmarks.peers.fedbrain_step import prepare

# kind -> what the place of an operation in the program matches, in this order
PLACES = {
    "products": r"dot_general|_conv1/|transition\d_conv|_conv\d*/transpose",
    "kernels": r"/ffi_call|conv_general_dilated",
    "normalisation": r"norm\d",
    "relu": r"relu|/gt$",
    "pooling": r"/(pad|eq|reduce_window\w*|select_and_\w+)$|pool",
    "copies": r"concatenate|/split$|/transpose$|/slice$|add_any$|dynamic_\w+$|copy",
}
# an operation without a place, by its own name
NAMES = {
    "copies": r"copy|concatenate|transpose|bitcast",
    "products": r"dot",
    "kernels": r"ffi_call",
}


def places(text: str) -> dict[str, str]:
    """Operation -> its place, of a compiled program."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"\s*(?:ROOT )?%?([\w.\-]+) = ", line):
            place = re.search(r'op_name="([^"]*)"', line)
            found.setdefault(match.group(1), place.group(1) if place else "")
    return found


def kind_of(operation: str, place: str) -> str:
    """The kind of an operation; what is not of the network is of the optimiser."""
    if "copy" in operation or operation.startswith("concatenate"):
        return "copies"
    for kind, pattern in (PLACES if place else NAMES).items():
        if re.search(pattern, place or operation):
            return kind
    return "other" if "jvp(" in place or not place else "optimizer"


def trace(step, progress, batch):
    """(operation -> seconds, what the step changed) of one step."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            progress = jax.block_until_ready(step(progress, batch))
        [path] = Path(folder).rglob("*.trace.json.gz")
        events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    seconds: Counter[str] = Counter()
    for event in events:
        operation = event.get("args", {}).get("hlo_op")
        if event.get("ph") == "X" and operation and not event["name"].startswith("end:"):
            seconds[operation] += event["dur"] / 1e6
    return seconds, progress


def main() -> None:
    """Answers every line with a step."""
    step, progress, batch = prepare(json.loads(sys.argv[1]))
    where = places(step.lower(progress, batch).compile().as_text())
    for _ in range(2):
        progress = jax.block_until_ready(step(progress, batch))
    print(json.dumps({}), flush=True)
    for _ in sys.stdin:
        seconds, progress = trace(step, progress, batch)
        kinds: Counter[str] = Counter()
        for operation, took in seconds.items():
            kinds[kind_of(operation, where.get(operation, ""))] += took
        print(json.dumps({"kinds": kinds}), flush=True)


if __name__ == "__main__":
    main()
