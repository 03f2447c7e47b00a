"""Where a model looks: python -m fedbrain.saliency --workdir=DIR [--output=FOLDER].

Integrated gradients, what they explain of the variance of predictions, and occlusion, on test scans
of every site against their mean image; averaged at the site, as NIfTI files in the space of the
prepared volumes and as montages. What leaves a site is a mean over at least 5 people, never one
person's map.
"""

from functools import partial
from pathlib import Path

from absl import app, flags

from fedbrain import cli
from fedbrain.data.describe import FEWEST
from fedbrain.experiments.saliency import run

if __name__ == "__main__":
    WORKDIR = flags.DEFINE_string("workdir", None, "Of the trained experiment.", required=True)
    OUTPUT = flags.DEFINE_string("output", None, "Folder of the maps; by default WORKDIR/saliency.")
    FEDERATION = flags.DEFINE_string(
        "federation", "federated", "Whose model: federated, centralised, local-<client>."
    )
    COUNT = flags.DEFINE_integer(
        "count", 20, "Test scans of each site, at most.", lower_bound=FEWEST
    )
    STEPS = flags.DEFINE_integer("steps", 16, "Of integrated gradients.", lower_bound=1)
    SIZE = flags.DEFINE_integer("size", 4, "Of occluded cubes, voxels.", lower_bound=1)

    def main(argv: list[str]) -> None:
        """Reads the flags, and says what went wrong in one sentence."""
        cli.configure()
        folder = Path(OUTPUT.value or f"{WORKDIR.value}/saliency")
        story = partial(
            run, Path(WORKDIR.value), folder, FEDERATION.value, COUNT.value, STEPS.value, SIZE.value
        )
        cli.in_one_sentence(argv, story, interrupted="The same command makes the maps again.")

    app.run(main)
