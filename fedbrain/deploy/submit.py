"""Writes a job for the federated engine: a folder of JSON files and nothing else.

fedbrain submit CONFIG --target=age --sites=a,b,c --output=FOLDER
nvflare job submit -j FOLDER
"""

from absl import flags

from fedbrain import cli

if __name__ == "__main__":
    CONFIG = cli.define_config("experiment")
    TARGET = flags.DEFINE_string(
        "target", "age", "Name of the predicted column in the sites' settings."
    )
    SITES = flags.DEFINE_list(
        "sites", None, "Names of the sites, as in their certificates.", required=True
    )
    OUTPUT = cli.define_path("output", None, "Folder of the job.", required=True)
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

    def _write() -> None:
        from fedbrain.deploy.server_side.submit import write_job

        write_job(
            OUTPUT.value,
            CONFIG.value.to_dict(),
            TARGET.value,
            SITES.value,
            fewest=FEWEST.value,
            deadline_s=DEADLINE.value,
            most_scans=MOST_SCANS.value,
            at_start=AT_START.value,
        )
        print(f"{OUTPUT.value}: a job for {', '.join(SITES.value)}")

    cli.run_flags(_write, interrupted="The same command writes it again.", config=CONFIG)
