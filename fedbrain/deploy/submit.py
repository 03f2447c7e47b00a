"""Writes a job for the engine: python -m fedbrain.deploy.submit --config=FILE.py --target=age
--sites=a,b,c --output=FOLDER.

The folder holds JSON and nothing else: `nvflare job submit -j FOLDER`.
"""

from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

from fedbrain import cli
from fedbrain.deploy.server_side.submit import write_job

if __name__ == "__main__":
    CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
    TARGET = flags.DEFINE_string("target", "age", "What is predicted, as the sites' files name it.")
    SITES = flags.DEFINE_list(
        "sites", None, "Names of the sites, as in their certificates.", required=True
    )
    OUTPUT = flags.DEFINE_string("output", None, "Folder of the job.", required=True)
    FEWEST = flags.DEFINE_integer(
        "fewest", 2, "Sites without which no round counts.", lower_bound=1
    )
    DEADLINE = flags.DEFINE_integer("deadline_s", 3600, "Of an answer, in seconds.", lower_bound=1)

    def _write() -> None:
        how = {"fewest": FEWEST.value, "deadline_s": DEADLINE.value}
        write_job(Path(OUTPUT.value), CONFIG.value.to_dict(), TARGET.value, SITES.value, **how)
        print(f"{OUTPUT.value}: a job for {', '.join(SITES.value)}")

    app.run(
        lambda argv: cli.in_one_sentence(
            argv, _write, interrupted="The same command writes it again."
        )
    )
