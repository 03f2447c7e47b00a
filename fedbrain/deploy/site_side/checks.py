"""Checks that a site runs on its own kit, before and during a run. Nothing of it is sent."""

# pyright: reportMissingImports=false

import datetime
import json
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from fedbrain.deploy.site_side.audit import check as check_audit
from fedbrain.deploy.site_side.audit import whole_lines
from fedbrain.deploy.site_side.people_check import people
from fedbrain.deploy.site_side.policy import read_policy
from fedbrain.deploy.site_side.privacy_ledger import Ledger

SPARE_BYTES = 20 << 30  # volumes of a few thousand scans, models and logs
SPARE_DAYS = 30


def settings(kit: Path) -> str:
    """`site.toml` is readable, its data folder exists, no job may bring code or read files.

    Args:
      kit: of the site, a folder.

    Raises:
      ValueError: saying what was expected and what there is.
    """
    policy = read_policy(kit / "local/site.toml")
    if not policy.root.is_dir():
        raise ValueError(
            f"{kit / 'local/site.toml'}: [data] root: expected a folder, got {policy.root}"
        )
    resources = json.loads((kit / "local/resources.json").read_text(encoding="utf-8"))
    authorization = json.loads((kit / "local/authorization.json").read_text(encoding="utf-8"))
    may_run_code = any(
        role == "any" or role.get(right) != "none"
        for role in authorization["permissions"].values()
        for right in ("byoc", "shell_commands")
    )
    if (
        resources["class_allow_list"] != ["fedbrain.deploy.nvflare.site.Hospital"]
        or resources["class_list_enforcement_mode"] != "enforce"
        or may_run_code
    ):
        raise ValueError(
            f"{kit / 'local'}: expected the settings of a site's kit, got wider ones. Take those of"
            " the kit."
        )
    return (
        f"{policy.name}, targets {', '.join(policy.targets)}, at least {policy.minimum_subjects}"
        " training subjects"
    )


def certificate(kit: Path) -> str:
    """The site's certificate is valid, and for how long.

    Args:
      kit: of the site, a folder.

    Raises:
      ValueError: saying what was expected and what there is.
    """
    from cryptography import x509  # comes with the engine

    path = kit / "startup/client.crt"
    until = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    days = (until - datetime.datetime.now(datetime.UTC)).days
    if days < SPARE_DAYS:
        raise ValueError(
            f"{path}: expected more than {SPARE_DAYS} days until it expires, got {days}. Ask for a"
            " new kit."
        )
    return f"valid until {until:%Y-%m-%d}, {days} days"


def disk(kit: Path) -> str:
    """There is free space, and the folder can be written to.

    Args:
      kit: of the site, a folder.

    Raises:
      ValueError: saying what was expected and what there is.
    """
    with tempfile.TemporaryFile(dir=kit):
        pass
    free = shutil.disk_usage(kit).free
    if free < SPARE_BYTES:
        raise ValueError(f"{kit}: expected {SPARE_BYTES / 1e9:.0f} GB free, got {free / 1e9:.1f}")
    return f"{free / 1e9:.0f} GB free"


def server(kit: Path) -> str:
    """The server answers on its port, and each accepts the other's certificate.

    Args:
      kit: of the site, a folder.

    Raises:
      ValueError: saying what was expected and what there is.
    """
    startup = kit / "startup"
    engine = json.loads((startup / "fed_client.json").read_text(encoding="utf-8"))
    host, port = engine["servers"][0]["service"]["target"].rsplit(":", 1)
    context = ssl.create_default_context(cafile=str(startup / "rootCA.pem"))
    context.load_cert_chain(startup / "client.crt", startup / "client.key")
    try:
        with (
            socket.create_connection((host, int(port)), timeout=10) as connection,
            context.wrap_socket(connection, server_hostname=host) as encrypted,
        ):
            return f"{host}:{port} answers, {encrypted.version()}"
    except ssl.SSLError as error:
        raise ValueError(
            f"{host}:{port} answers, and not with the certificate of this consortium"
            f" ({error.reason or error}). Ask for a new kit."
        ) from None
    except OSError as error:
        raise ValueError(
            f"{host}:{port} does not answer ({error.strerror or error}). Does the server run, and"
            " does the firewall let this port out?"
        ) from None


CHECKS: Mapping[str, Callable[[Path], str]] = {
    "settings": settings,
    "participants": people,
    "certificate": certificate,
    "disk": disk,
    "server": server,
}


def run_checks(kit: Path) -> None:
    """Prints a line per check.

    Raises:
      ValueError: when one failed.
    """
    failed = 0
    for name, check in CHECKS.items():
        try:
            print(f"ok    {name}: {check(kit)}")
        except (ValueError, OSError) as error:
            failed += 1
            print(f"NOT   {name}: {error}")
    if failed:
        raise ValueError(f"{kit}: {failed} of {len(CHECKS)} checks failed.")


def account(kit: Path) -> str:
    """What was received and sent, and when last, by the site's own record.

    Args:
      kit: of the site, a folder.

    Raises:
      ValueError: when the record was changed.
    """
    path = kit / "fedbrain/audit.jsonl"
    if not path.is_file():
        return "No message yet."
    count = check_audit(path)
    lines = [json.loads(line) for line in whole_lines(path)]
    totals = {
        direction: sum(line["bytes"] for line in lines if line["direction"] == direction)
        for direction in ("in", "out")
    }
    last = lines[-1]
    message = (
        f"{last['kind']} of round {last['round']}"
        if "round" in last
        else f"{last['kind']}: {last.get('text', '')}"
    )
    return (
        f"{count} messages, {totals['in'] / 1e6:.1f} MB received, {totals['out'] / 1e6:.1f} MB"
        f" sent; the last one {'received' if last['direction'] == 'in' else 'sent'} at"
        f" {last['time']}, {message}. The record is complete and unchanged."
    )


def privacy(kit: Path) -> list[str]:
    """What the site has told of its people, in all experiments, as lines; none before the first.

    Args:
      kit: of the site, a folder.
    """
    path = kit / "fedbrain/privacy.json"
    if not path.is_file():
        return []
    demands = read_policy(kit / "local/site.toml").demands
    how = {"delta_dp": demands.delta_dp, "epsilon_at_most": demands.epsilon_at_most}
    return [Ledger(path, **how).sentence()]
