"""Commands of a site.

fedbrain site check --kit=KIT
    Checks settings, data, certificate, disk and the way to the server; one line each.
fedbrain site join --kit=KIT
    Runs the site's process; to be kept running (launch/hospital/fedbrain-site.service).
fedbrain site status --kit=KIT
    Prints what was received and sent, from the site's own record, and the runs that ended: each is
    in a folder on which `predict`, `export` and `report` work. With --joined=FILE, joined.jsonl of
    a run from the centre: whether the record holds what this site signed whenever it joined.
fedbrain site dry_run --kit=KIT --job=FOLDER --output=FILE
    Writes the exact bytes that a job would send until its first round is over, and prints their
    contents and what it asks beside its rounds. FILE is the update; sums go to FILE.KIND.
fedbrain site review --kit=KIT
    Prints in plain words what each job or study that came may ask; with --job=FOLDER, that one.
fedbrain site approve --kit=KIT --hash=HASH
    A person at the site approves a job, or a whole study once, by the hash that `review` prints; it
    runs from then on.
fedbrain site withdraw --kit=KIT
    The site answers no further question, also of a job that runs; with --hash=HASH, of that job or
    study alone. `take_part` undoes it.
fedbrain site request --kit=KIT --site=NAME
    Makes a key that never leaves this folder, and the request for its certificate.
fedbrain site install --kit=KIT --received=FOLDER
    Puts the kit that the centre made from the request beside that key.
"""

from absl import flags

from fedbrain.cli import configure, define_path, given, run_command

if __name__ == "__main__":
    KIT = define_path("kit", None, "Folder of the site's kit.", required=True)
    JOB = define_path("job", None, "Folder of a job.")
    HASH = flags.DEFINE_string("hash", None, "Hash of a job, as `review` prints it.")
    SITE = flags.DEFINE_string("site", None, "Name of the site in the consortium.")
    RECEIVED = define_path("received", None, "Folder of the kit that the centre sent.")
    JOINED = define_path("joined", None, "joined.jsonl of a run, from the centre.")
    OUTPUT = define_path("output", None, "File for the bytes.")

    def _join() -> None:
        from fedbrain.deploy.nvflare.engine_process import start

        start(KIT.value)

    def _dry_run() -> None:
        from fedbrain.deploy.site_side.dry_run import dry_run

        configure()
        print(dry_run(KIT.value, given(JOB), given(OUTPUT)))

    def _check() -> None:
        from fedbrain.deploy.site_side.checks import run_checks

        run_checks(KIT.value)

    def _review() -> None:
        from fedbrain.deploy.site_side.review import review

        configure()
        print(review(KIT.value, JOB.value), end="")

    def _approve() -> None:
        from fedbrain.deploy.site_side.approval import approve

        print(approve(KIT.value, given(HASH), JOB.value))

    def _withdraw() -> None:
        from fedbrain.deploy.site_side.withdrawal import withdraw

        print(withdraw(KIT.value, HASH.value))

    def _take_part() -> None:
        from fedbrain.deploy.site_side.withdrawal import take_part

        print(take_part(KIT.value, HASH.value))

    def _request() -> None:
        from fedbrain.deploy.nvflare.own_key import request

        print(request(KIT.value, given(SITE)))

    def _install() -> None:
        from fedbrain.deploy.nvflare.own_key import install

        print(install(KIT.value, given(RECEIVED)))

    def _status() -> None:
        from fedbrain.deploy.site_side.checks import account, privacy
        from fedbrain.deploy.site_side.own_runs import describe_runs

        print("\n".join([account(KIT.value), *privacy(KIT.value), *describe_runs(KIT.value)]))
        if JOINED.value is not None:
            print(_heads())

    def _heads() -> str:
        from fedbrain.deploy.nvflare.identity import verifier_of
        from fedbrain.deploy.protocol.record_head import check_heads
        from fedbrain.deploy.site_side.policy import read_policy

        kit = KIT.value
        name = read_policy(kit / "local/site.toml").name
        verify = verifier_of(kit, of_today=False)
        return check_heads(kit / "fedbrain/audit.jsonl", JOINED.value, name, verify)

    COMMANDS = {
        "check": _check,
        "join": _join,
        "status": _status,
        "dry_run": _dry_run,
        "review": _review,
        "approve": _approve,
        "withdraw": _withdraw,
        "take_part": _take_part,
        "request": _request,
        "install": _install,
    }
    run_command(COMMANDS)
