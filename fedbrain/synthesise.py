"""Writes three synthetic hospitals as BIDS trees, for trying and testing the software.

    fedbrain synthesise DIR [--healthy=N] [--ms=N] [--seed=N]

The images are synthetic: they say nothing about real brains.
"""

from absl import flags

from fedbrain import cli

if __name__ == "__main__":
    OUT = cli.define_path("out", None, "Folder for the trees; must be new or empty.", required=True)
    HEALTHY = flags.DEFINE_integer(
        "healthy", 50, "Number of healthy people at each hospital.", lower_bound=0
    )
    MS = flags.DEFINE_integer(
        "ms", 0, "Number of people with multiple sclerosis at each hospital.", lower_bound=0
    )
    SEED = flags.DEFINE_integer(
        "seed", 0, "Seed of the people; person i is the same in a larger cohort.", lower_bound=0
    )

    def _write() -> None:
        from fedbrain.data.synthetic.write import write_cohort

        for folder in write_cohort(OUT.value, healthy=HEALTHY.value, ms=MS.value, seed=SEED.value):
            print(f"{folder}: {HEALTHY.value + MS.value} synthetic people")

    cli.run_flags(_write, interrupted="Trees are not complete: delete them.", word="out")
