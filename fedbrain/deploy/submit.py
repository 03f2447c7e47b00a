"""Writes a job for the federated engine: a folder of JSON files and nothing else.

fedbrain submit CONFIG --target=age --sites=a,b,c --output=FOLDER
nvflare job submit -j FOLDER
"""

from absl import flags

from fedbrain import cli
from fedbrain.deploy.server_side.limit_flags import define_limits

if __name__ == "__main__":
    CONFIG = cli.define_config("experiment")
    TARGET = flags.DEFINE_string(
        "target", "age", "Name of the predicted column in the sites' settings."
    )
    SITES = flags.DEFINE_list(
        "sites", None, "Names of the sites, as in their certificates.", required=True
    )
    OUTPUT = cli.define_path("output", None, "Folder of the job.", required=True)
    LIMITS = define_limits()

    def _write() -> None:
        from fedbrain.deploy.server_side.submit import write_job

        write_job(
            OUTPUT.value,
            CONFIG.value.to_dict(),
            TARGET.value,
            SITES.value,
            study=None,
            crossed=False,
            start=None,
            lead_elsewhere=False,
            **LIMITS(),
        )
        print(f"{OUTPUT.value}: a job for {', '.join(SITES.value)}")

    cli.run_flags(_write, interrupted="The same command writes it again.", config=CONFIG)
