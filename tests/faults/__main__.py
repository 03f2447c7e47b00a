"""Injects faults and prints what came of them: python -m tests.faults --count=300 [--folder=DIR].

Needs the extra `deploy`. A fault counts as survived when the next model has the bits of the
undisturbed run, as detected when a sentence says what was wrong; one that is neither is silent.
When a model changed or a door opened, it exits with 1. `python -m tests.faults.kills` kills and
cuts off real processes.
"""

import sys
import tempfile
from pathlib import Path

from absl import app, flags

from fedbrain import cli
from tests.faults.campaign import Injection, campaign
from tests.faults.certificates import certificate_faults
from tests.faults.data import data_faults

SHARES = {campaign: 0.6, data_faults: 0.25, certificate_faults: 0.15}


def table(done: list[Injection]) -> str:
    """Markdown: kind, how often, survived bit-exactly, detected, an example of what was said."""
    lines = [
        "| fault | injected | survived bit-exactly | detected | silent | for instance |",
        "|---|---|---|---|---|---|",
    ]
    for kind in sorted({d.kind for d in done}):
        of = [d for d in done if d.kind == kind]
        said = next((d.detected for d in of if d.detected), "").replace("|", "/").replace("\n", " ")
        silent = sum(not d.exact and not d.detected for d in of)
        exact, detected = sum(d.exact for d in of), sum(bool(d.detected) for d in of)
        lines.append(f"| {kind} | {len(of)} | {exact} | {detected} | {silent} | {said[:110]} |")
    exact, detected = sum(d.exact for d in done), sum(bool(d.detected) for d in done)
    silent = sum(not d.exact and not d.detected for d in done)
    return "\n".join([*lines, f"| **all** | {len(done)} | {exact} | {detected} | {silent} | |"])


def main(argv: list[str]) -> None:
    """Runs the three campaigns."""
    del argv
    cli.configure()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(FOLDER.value or temporary).absolute()
        done = []
        for act, share in SHARES.items():
            done += act(folder / act.__name__, round(COUNT.value * share))
    print(table(done))
    changed = [d for d in done if not d.exact]
    print(f"\n{len(done)} injected, {len(changed)} changed a model or opened a door.")
    sys.exit(1 if changed else 0)


if __name__ == "__main__":
    COUNT = flags.DEFINE_integer("count", 300, "How many faults, at least.")
    FOLDER = flags.DEFINE_string("folder", "", "Work folder; by default a temporary one.")
    app.run(main)
