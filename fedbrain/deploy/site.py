"""Commands of a site.

python -m fedbrain.deploy.site check --kit=KIT
    Checks settings, data, certificate, disk and the way to the server; one line each.
python -m fedbrain.deploy.site join --kit=KIT
    Runs the site's process; to be kept running (launch/hospital/fedbrain-site.service).
python -m fedbrain.deploy.site status --kit=KIT
    Prints what was received and sent, from the site's own record.
python -m fedbrain.deploy.site dry_run --kit=KIT --job=FOLDER --output=FILE
    Writes the exact bytes that the first round of a job would send, and prints their contents.
"""

from pathlib import Path

from absl import flags

from fedbrain.cli import configure, given, run_command
from fedbrain.deploy.site_side.checks import account, dry_run, run_checks

if __name__ == "__main__":
    KIT = flags.DEFINE_string("kit", None, "Folder of the site's kit.", required=True)
    JOB = flags.DEFINE_string("job", None, "Folder of a job.")
    OUTPUT = flags.DEFINE_string("output", None, "File for the bytes.")

    def _join() -> None:
        from fedbrain.deploy.nvflare.kits import start

        start(Path(KIT.value))

    def _dry_run() -> None:
        configure()
        print(dry_run(Path(KIT.value), Path(given(JOB)), Path(given(OUTPUT))))

    COMMANDS = {
        "check": lambda: run_checks(Path(KIT.value)),
        "join": _join,
        "status": lambda: print(account(Path(KIT.value))),
        "dry_run": _dry_run,
    }
    run_command(COMMANDS)
