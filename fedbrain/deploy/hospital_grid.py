"""Runs a grid between hospitals: a first experiment, and rows that start from its best model.

    fedbrain hospital-grid paper_synthetic --lead=LEAD_KIT --workdir=DIR \\
        --target=age --rows_target=sdmt --sites=a,b,c \\
        "--config.first.regimes=('federated', 'local')" "--config.first.describe=()" \\
        "--config.second.regimes=('federated', 'local')" "--config.second.describe=()"

Brain age and then SDMT, for instance: one command, submitted once; the same command goes on after
any loss. Each experiment is a job of its own in DIR/<row>/seed<k>; each site approves the whole
study once, or job by job; linear regressions run where its site.toml opens them. With more --sites,
the experiments that have not begun have them too. The tables are those of the same grid in
simulation.
"""

from functools import partial

from absl import flags

from fedbrain.cli import define_config, define_path, given, run_flags
from fedbrain.deploy.server_side.limit_flags import KIT_HELP, define_limits

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
    CROSSED = flags.DEFINE_bool(
        "crossed",
        False,
        "Whether each site's own model is tested by the others, who must allow it.",
    )
    LIMITS = define_limits()
    KIT = define_path("kit", None, KIT_HELP)
    LEAD = define_path("lead", None, "Folder of the kit of the consortium's lead.", required=True)
    WORKDIR = define_path("workdir", None, "Work directory of the grid.", required=True)

    def _run() -> None:
        from fedbrain.deploy.nvflare.session import Lead  # an extra
        from fedbrain.deploy.server_side.cells import Targets, run_cells
        from fedbrain.deploy.server_side.launch import run_experiment

        run_cells(
            partial(run_experiment, lambda: Lead(LEAD.value), KIT.value, **LIMITS()),
            given(CONFIG),
            WORKDIR.value,
            targets=Targets(TARGET.value, ROWS_TARGET.value),
            sites=given(SITES),
            crossed=CROSSED.value,
        )

    run_flags(_run, interrupted="The same command goes on where this one stopped.", config=CONFIG)
