"""Average ranks of methods over studies, under all of their attacks: a critical-difference figure.

    fedbrain ranks runs/first,runs/second --output=ranks.png

Reads finished studies. Methods that all of them have are ranked in each, by the mean over seeds.
"""

from fedbrain import cli

if __name__ == "__main__":
    WORKDIRS = cli.define_paths(
        "workdirs", "Work directories of studies, with commas between.", required=True
    )
    OUTPUT = cli.define_path("output", None, "The figure, a .png file.", required=True)

    def _rank() -> None:
        from fedbrain.experiments import ranks
        from fedbrain.experiments.catalogue import UsageError
        from fedbrain.experiments.writing import writing

        if OUTPUT.value.suffix != ".png":
            raise UsageError(f"--output: expected a .png file, got {OUTPUT.value}")
        with writing(OUTPUT.value, flag="output"):
            ranks.run(WORKDIRS.value, OUTPUT.value)

    cli.run_flags(_rank, interrupted="The same command writes all of it.", word="workdirs")
