"""One page of HTML about an experiment, a grid or a study: tables, figures, how it was made.

    fedbrain report WORKDIR [--output=FILE.html]

The file holds all it shows: no script, no outside address. It names no subject and no folder of the
data. Nothing else is written.
"""

from fedbrain import cli

if __name__ == "__main__":
    WORKDIR = cli.define_path(
        "workdir", None, "Work directory of the experiment, grid, study or sweep.", required=True
    )
    OUTPUT = cli.define_path("output", None, "File to write; by default WORKDIR/report.html.")

    def _report() -> None:
        from fedbrain.experiments.report import write_report

        path = write_report(WORKDIR.value, OUTPUT.value)
        print(f"Report: {path}")

    cli.run_flags(_report, interrupted="The same command writes it again.", word="workdir")
