"""Maps of where a model looks, as NIfTI files and as montages of slices.

    fedbrain saliency WORKDIR [--output=FOLDER]

Integrated gradients, what they explain of the variance of predictions, and occlusion, on test scans
of every site against their mean image; averaged at the site, in the space of the prepared volumes.
What leaves a site is a mean over at least 5 people, never one person's map.
"""

from absl import flags

from fedbrain import cli
from fedbrain.data.small_counts import FEWEST

if __name__ == "__main__":
    WORKDIR = cli.define_path(
        "workdir", None, "Work directory of the trained experiment.", required=True
    )
    OUTPUT = cli.define_path("output", None, "Folder of the maps; by default WORKDIR/saliency.")
    FEDERATION = flags.DEFINE_string(
        "federation",
        "federated",
        "Which model: federated, centralised, local-<client> or without-<client>.",
    )
    COUNT = flags.DEFINE_integer(
        "count", 20, "Largest number of test scans of a site.", lower_bound=FEWEST
    )
    STEPS = flags.DEFINE_integer("steps", 16, "Steps of integrated gradients.", lower_bound=1)
    SIZE = flags.DEFINE_integer("size", 4, "Edge of the occluded cubes, voxels.", lower_bound=1)

    def _run() -> None:
        from fedbrain.experiments.saliency import run

        run(
            WORKDIR.value,
            OUTPUT.value or WORKDIR.value / "saliency",
            FEDERATION.value,
            COUNT.value,
            STEPS.value,
            SIZE.value,
        )

    cli.run_flags(_run, interrupted="The same command makes the maps again.", word="workdir")
