"""Prints the tables of a grid or a sweep, finished or not.

    fedbrain tables runs/paper_synthetic

Our numbers beside published ones, every client's model on every client's test scans, paired
differences and what may be claimed. Also written to WORKDIR/tables.txt and WORKDIR/tables.json.
Of a grid between hospitals: what its sites tell, as in WORKDIR/site_tables.txt. Of a sweep: the
methods whose settings are all finished.
"""

from fedbrain import cli

if __name__ == "__main__":
    WORKDIR = cli.define_path(
        "workdir", None, "Work directory of the grid or the sweep.", required=True
    )

    def _print() -> None:
        from fedbrain.experiments import grid_tables, site_tables, sweep

        if sweep.is_sweep(WORKDIR.value):
            return sweep.so_far(WORKDIR.value)
        told = site_tables.is_between_hospitals(WORKDIR.value)
        (site_tables if told else grid_tables).run(WORKDIR.value)

    cli.run_flags(_print, interrupted="Nothing was lost.", word="workdir")
