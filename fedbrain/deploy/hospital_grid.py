"""Runs a grid between hospitals: a first experiment, and rows that start from its best model.

    fedbrain hospital-grid paper_synthetic --kit=KIT --lead=LEAD_KIT --workdir=DIR \\
        --target=age --rows_target=sdmt --sites=a,b,c \\
        "--config.first.regimes=('federated', 'local')" "--config.first.describe=()" \\
        "--config.second.regimes=('federated', 'local')" "--config.second.describe=()" \\
        "--config.second.baselines=()"

Brain age and then SDMT, for instance: one command, submitted once; the same command goes on after
any loss. Each experiment is a job of its own in DIR/<row>/seed<k>, and each site approves it. The
tables are those of the same grid in simulation.
"""

from functools import partial

from absl import flags

from fedbrain.cli import define_config, define_path, given, run_flags

if __name__ == "__main__":
    CONFIG = define_config("grid")
    TARGET = flags.DEFINE_string(
        "target", "age", "Name of the predicted column in the sites' settings."
    )
    ROWS_TARGET = flags.DEFINE_string(
        "rows_target", None, "Likewise, of the experiments that start from the first one.",
        required=True,
    )  # fmt: skip
    SITES = flags.DEFINE_list("sites", [], "Names of the sites, as in their certificates.")
    FEWEST = flags.DEFINE_integer(
        "fewest", 2, "Number of sites without which no round counts.", lower_bound=1
    )
    AT_START = flags.DEFINE_integer(
        "at_start",
        0,
        "Number of sites with which a run begins; those that are missing then stay out of it."
        " 0: all must be there.",
        lower_bound=0,
    )
    MOST_SCANS = flags.DEFINE_integer(
        "most_scans", 10_000, "Most scans of a part that a site may declare.", lower_bound=1
    )
    DEADLINE = flags.DEFINE_integer(
        "deadline_s", 3600, "Longest wait for an answer, in seconds.", lower_bound=1
    )
    KIT = define_path("kit", None, "Folder of the server's kit.", required=True)
    LEAD = define_path("lead", None, "Folder of the kit of the consortium's lead.", required=True)
    WORKDIR = define_path("workdir", None, "Work directory of the grid.", required=True)

    def _run() -> None:
        from fedbrain.deploy.nvflare.session import Lead  # an extra
        from fedbrain.deploy.server_side.cells import Targets, run_cells
        from fedbrain.deploy.server_side.launch import run_experiment

        how = {"fewest": FEWEST.value, "deadline_s": DEADLINE.value}
        how |= {"most_scans": MOST_SCANS.value, "at_start": AT_START.value}
        run_cells(
            partial(
                run_experiment,
                lambda: Lead(LEAD.value),
                KIT.value,
                **how,
            ),
            given(CONFIG),
            WORKDIR.value,
            targets=Targets(TARGET.value, ROWS_TARGET.value),
            sites=given(SITES),
        )

    run_flags(_run, interrupted="The same command goes on where this one stopped.", config=CONFIG)
