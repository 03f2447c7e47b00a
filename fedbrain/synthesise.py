"""Writes BIDS trees of three synthetic hospitals: python -m fedbrain.synthesise --out=DIR
[--healthy=N] [--ms=N].

The images are synthetic: they are for trying and testing the software, and say nothing about real
brains.
"""

import sys
from pathlib import Path

from absl import app, flags

from fedbrain.data.synthetic.write import write_cohort

OUT = flags.DEFINE_string("out", None, "Folder for the trees; must be new or empty.", required=True)
HEALTHY = flags.DEFINE_integer("healthy", 50, "Healthy people of each hospital.", lower_bound=0)
MS = flags.DEFINE_integer(
    "ms", 0, "People with multiple sclerosis of each hospital.", lower_bound=0
)
SEED = flags.DEFINE_integer(
    "seed", 0, "Of the cohort; person i is the same in a larger cohort.", lower_bound=0
)


def main(argv: list[str]) -> None:
    """Writes the cohort."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected only flags, got {argv[1:]}.")
    out = Path(OUT.value)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        sys.exit(
            f"fedbrain: {out}: expected a new or empty folder, got one with files. Choose another"
            " --out."
        )
    for folder in write_cohort(out, healthy=HEALTHY.value, ms=MS.value, seed=SEED.value):
        print(f"{folder}: {HEALTHY.value + MS.value} synthetic people")


if __name__ == "__main__":
    app.run(main)
