"""Commands of the coordinating centre.

fedbrain server listen --kit=KIT
    Runs the server process; to be kept running (launch/hospital/fedbrain-server.service).
fedbrain server run --lead=LEAD_KIT --workdir=DIR --config=CONFIG --target=age --sites=a,b,c
    Runs an experiment to its end: submits the job, watches it, submits it again after a loss.
    The same command resumes an interrupted run. It works on any machine that reaches the
    server, so that the lead's key need not be on the server; with --kit=KIT, on the server
    itself, results go into DIR as they come.
fedbrain server withdraw --lead=LEAD_KIT --sites=b
    The server refuses a site from now on; `readmit` undoes it.
"""

from pathlib import Path

from absl import flags

from fedbrain.cli import define_config, define_path, given, run_command
from fedbrain.deploy.server_side.limit_flags import KIT_HELP, define_limits

if __name__ == "__main__":
    CONFIG = define_config("experiment")
    TARGET = flags.DEFINE_string(
        "target", "age", "Name of the predicted column in the sites' settings."
    )
    SITES = flags.DEFINE_list("sites", [], "Names of the sites, as in their certificates.")
    CROSSED = flags.DEFINE_bool(
        "crossed",
        False,
        "Whether each site's own model is tested by the others, who must allow it.",
    )
    LIMITS = define_limits()
    KIT = define_path("kit", None, KIT_HELP)
    LEAD = define_path("lead", None, "Folder of the kit of the consortium's lead.")
    WORKDIR = define_path("workdir", None, "Work directory of the experiment.")

    def _session(lead: Path):
        from fedbrain.deploy.nvflare.session import Lead  # an extra

        return Lead(lead)

    def _run() -> None:
        from fedbrain.deploy.server_side.launch import run_experiment

        lead, workdir = given(LEAD), given(WORKDIR)
        fields = {"config": given(CONFIG).to_dict(), "target": TARGET.value, "sites": given(SITES)}
        fields |= {"crossed": True} if CROSSED.value else {}
        run_experiment(lambda: _session(lead), KIT.value, workdir, fields, **LIMITS())

    def _listen() -> None:
        from fedbrain.deploy.nvflare.engine_process import start

        start(given(KIT))

    def _each_site(method: str, outcome: str) -> None:
        session = _session(given(LEAD))
        for site in given(SITES):
            getattr(session, method)(site)
            print(f"{site}: {outcome}.")
        session.close()

    COMMANDS = {
        "run": _run,
        "listen": _listen,
        "withdraw": lambda: _each_site("withdraw", "withdrawn"),
        "readmit": lambda: _each_site("readmit", "admitted again"),
    }
    run_command(COMMANDS, default="run", config=CONFIG)
