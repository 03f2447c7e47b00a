"""A site's side: python -m fedbrain.deploy.site check | join | status | dry_run --kit=KIT.

check     is everything ready: settings, data, certificate, disk, the way to the server; one line
each join      the engine's process, to be kept running (launch/hospital/fedbrain-site.service)
status    what came and went, by the site's own record
dry_run   --job=FOLDER --output=FILE   the exact bytes that the first round of a job would send, and
what they say
"""

from pathlib import Path

from absl import flags

from fedbrain import cli
from fedbrain.cli import given, run_command
from fedbrain.deploy.site_side.checks import CHECKS, account, dry_run

if __name__ == "__main__":
    KIT = flags.DEFINE_string("kit", None, "Kit of the site.", required=True)
    JOB = flags.DEFINE_string("job", None, "Folder of a job.")
    OUTPUT = flags.DEFINE_string("output", None, "File for the bytes.")

    def _check() -> None:
        bad = 0
        for name, look in CHECKS.items():
            try:
                print(f"ok    {name}: {look(Path(KIT.value))}")
            except (ValueError, OSError) as error:
                bad += 1
                print(f"NOT   {name}: {error}")
        if bad:
            raise ValueError(f"{KIT.value}: {bad} of {len(CHECKS)} checks failed.")

    def _join() -> None:
        from fedbrain.deploy.nvflare.kits import start

        start(Path(KIT.value))

    def _dry_run() -> None:
        cli.configure()
        print(dry_run(Path(KIT.value), Path(given(JOB)), Path(given(OUTPUT))))

    commands = {
        "check": _check,
        "join": _join,
        "status": lambda: print(account(Path(KIT.value))),
        "dry_run": _dry_run,
    }
    run_command(commands)
