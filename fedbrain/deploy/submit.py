"""Writes a job for the federated engine: a folder of JSON files and nothing else.

python -m fedbrain.deploy.submit --config=FILE.py --target=age --sites=a,b,c --output=FOLDER
nvflare job submit -j FOLDER
"""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from fedbrain import cli
from fedbrain.deploy.server_side.submit import write_job

if __name__ == "__main__":
    CONFIG = config_flags.DEFINE_config_file(
        "config", None, "Configuration file of the experiment.", lock_config=True
    )
    TARGET = flags.DEFINE_string(
        "target", "age", "Name of the predicted column in the sites' settings."
    )
    SITES = flags.DEFINE_list(
        "sites", None, "Names of the sites, as in their certificates.", required=True
    )
    OUTPUT = flags.DEFINE_string("output", None, "Folder of the job.", required=True)
    FEWEST = flags.DEFINE_integer(
        "fewest", 2, "Number of sites without which no round counts.", lower_bound=1
    )
    DEADLINE = flags.DEFINE_integer(
        "deadline_s", 3600, "Longest wait for an answer, in seconds.", lower_bound=1
    )

    def _write() -> None:
        write_job(
            Path(OUTPUT.value),
            CONFIG.value.to_dict(),
            TARGET.value,
            SITES.value,
            fewest=FEWEST.value,
            deadline_s=DEADLINE.value,
        )
        print(f"{OUTPUT.value}: a job for {', '.join(SITES.value)}")

    cli.run_flags(_write, interrupted="The same command writes it again.")
