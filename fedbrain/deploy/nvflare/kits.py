"""Kits: keys, certificates and settings for the server, every site and the lead of a consortium,
from one YAML file.

The engine makes them; here its settings are narrowed to what fedbrain needs. At a site nobody from
outside may run code, read files or logs, or start anything but our one class.

name: brain_age
server: {host: fl.example.org, port: 8002, organisation: Example}
lead: lead@example.org          # may submit and stop jobs, and withdraw sites
sites: {amber: Hospital A, birch: Hospital B}
"""

# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false, reportMissingModuleSource=false

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from nvflare.lighter.provision import prepare_builders, prepare_project
from nvflare.lighter.provisioner import Provisioner

from fedbrain.deploy.nvflare.renewal import forget_certificates
from fedbrain.experiments.workdir import write_json

KEYS = {"name": str, "server": dict, "lead": str, "sites": dict}
ROOT_DAYS = 3650  # of the authority; the certificates of sites and server last 360 days
# seconds for a piece of a large message, tried four times
PATIENCE = {"NVFLARE_NP_STREAMING_PER_REQUEST_TIMEOUT": "45"}
# memory that is freed goes back to the system
LEAN = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
DENIED = ("clone_job", "download_job", "shell_commands", "byoc", "server-predeployed-flwr")
BUILDERS = {
    "workspace.WorkspaceBuilder": {"template_file": ["master_template.yml"]},
    "static_file.StaticFileBuilder": {"config_folder": "config"},
    "cert.CertBuilder": {"root_valid_days": ROOT_DAYS},
    "signature.SignatureBuilder": {},
}


def read_consortium(path: Path) -> dict[str, Any]:
    """Reads the file.

    Args:
      path: of the YAML file.

    Raises:
      ValueError: naming the file and the key, for what is missing, unknown or of another type.
    """
    try:
        consortium = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: expected a YAML file, got: {error}") from None
    if not isinstance(consortium, dict) or set(consortium) != set(KEYS):
        raise ValueError(
            f"{path}: expected the keys {', '.join(KEYS)}, got"
            f" {sorted(consortium) if isinstance(consortium, dict) else consortium!r}."
        )
    for key, kind in KEYS.items():
        if not isinstance(consortium[key], kind):
            raise ValueError(f"{path}: {key}: expected {kind.__name__}, got {consortium[key]!r}.")
    if set(consortium["server"]) != {"host", "port", "organisation"}:
        raise ValueError(
            f"{path}: server: expected host, port and organisation, got"
            f" {sorted(consortium['server'])}."
        )
    for name in [consortium["name"], *consortium["sites"]]:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", str(name)):
            raise ValueError(
                f"{path}: expected names of small letters, digits, - and _, got {name!r}."
            )
    return consortium


def provision(consortium: Mapping[str, Any], output: Path) -> list[Path]:
    """Makes a new set of kits, under the authority that `output` holds already or, the first time,
    under a new one.

    Args:
      consortium: as `read_consortium` returns it.
      output: folder of the authority and of the kits.

    Returns:
      The kits' folders: `output/kits/NAME`. Those that there were are in `output/kits.N` then.
    """
    server = consortium["server"]
    builders = [
        {"path": f"nvflare.lighter.impl.{name}", "args": dict(args)}
        for name, args in BUILDERS.items()
    ]
    project = {
        "api_version": 3,
        "name": consortium["name"],
        "description": "fedbrain",
        "gen_scripts": False,
        "participants": _participants(consortium),
        "builders": builders,
    }
    work = output / "authority"
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    forget_certificates(work, consortium["name"])
    Provisioner(str(work), prepare_builders(project), None).provision(prepare_project(project))
    newest = sorted((work / consortium["name"]).glob("prod_*"))[-1]
    kits = output / "kits"
    if kits.exists():
        kits.rename(output / f"kits.{len(list(output.glob('kits.*'))) + 1}")
    names = {
        server["host"]: "server",
        consortium["lead"]: consortium["lead"],
        **{name: name for name in consortium["sites"]},
    }
    for theirs, ours in names.items():
        shutil.copytree(newest / theirs, kits / ours)
        (kits / ours / "startup").chmod(0o700)
        if ours != consortium["lead"]:
            harden(kits / ours, "server" if ours == "server" else "site")
    return [kits / name for name in names.values()]


def _participants(consortium: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The server, every site and the lead, as the engine describes them."""
    server = consortium["server"]
    return [
        {
            "name": server["host"],
            "type": "server",
            "org": _organisation_name(server["organisation"]),
            "fed_learn_port": server["port"],
        },
        *(
            {"name": name, "type": "client", "org": _organisation_name(org)}
            for name, org in consortium["sites"].items()
        ),
        {
            "name": consortium["lead"],
            "type": "admin",
            "org": _organisation_name(server["organisation"]),
            "role": "project_admin",
        },
    ]


def _organisation_name(text: object) -> str:
    """As the engine accepts it: letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9]+", "_", str(text))


def harden(kit: Path, role: str) -> None:
    """Narrows the settings in a kit's `local`.

    Args:
      kit: folder.
      role: "server" or "site".
    """
    local = kit / "local"
    at_site = role == "site"
    resources = json.loads((local / "resources.json.default").read_text(encoding="utf-8"))
    name = "site.Hospital" if at_site else "server.Conductor"
    resources["class_list_enforcement_mode"] = "enforce"
    resources["class_allow_list"] = [f"fedbrain.deploy.nvflare.{name}"]
    resources["allow_log_streaming"] = False  # logs name files: they stay
    resources["components"] = [c for c in resources["components"] if "log" not in c["id"]]
    for server in resources.get("servers", []):
        server["heart_beat_timeout"] = 30
    write_json(local / "resources.json", resources)
    rights = {right: "any" for right in ("submit_job", "manage_job", "view")}
    rights.update({"operate": "none" if at_site else "any", **dict.fromkeys(DENIED, "none")})
    nobody = dict.fromkeys(rights, "none")
    permissions = {
        "project_admin": rights,
        **{role: nobody for role in ("org_admin", "lead", "member")},
    }
    write_json(local / "authorization.json", {"format_version": "1.0", "permissions": permissions})


def command(kit: Path) -> list[str]:
    """The command line of the engine's process for a kit.

    Args:
      kit: folder of the server's or a site's kit.
    """
    side = "server" if (kit / "startup/fed_server.json").is_file() else "client"
    if side == "server":
        _place(kit)
    (kit / "transfer").mkdir(exist_ok=True)
    module = f"nvflare.private.fed.app.{side}.{side}_train"
    settings = ["secure_train=true", "config_folder=config", f"org={organisation(kit)}"]
    if side == "client":
        engine = json.loads((kit / "startup/fed_client.json").read_text())
        settings.append(f"uid={engine['client']['fqsn']}")
    return [
        sys.executable,
        "-u",
        "-m",
        module,
        "-m",
        str(kit),
        "-s",
        f"fed_{side}.json",
        "--set",
        *settings,
    ]


def start(kit: Path) -> None:
    """Replaces this process by the engine's, for a kit.

    Args:
      kit: folder of the server's or a site's kit.
    """
    line = command(kit.absolute())
    variables = PATIENCE if line[3].endswith("client_train") else {**PATIENCE, **LEAN}
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    os.chdir(kit)
    os.execv(line[0], line)


def organisation(kit: Path) -> str:
    """As the kit's certificate names it.

    Args:
      kit: folder.
    """
    from cryptography import x509

    [path] = [p for p in (kit / "startup").glob("*.crt")]
    subject = x509.load_pem_x509_certificate(path.read_bytes()).subject
    return str(subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)[0].value)


def _place(kit: Path) -> None:
    """Jobs are kept in the server's kit, wherever that lies now."""
    path = kit / "local/resources.json"
    resources = json.loads(path.read_text(encoding="utf-8"))
    resources["snapshot_persistor"]["args"]["storage"]["args"]["root_dir"] = str(kit / "snapshots")
    for component in resources["components"]:
        if component["id"] == "job_manager":
            component["args"]["uri_root"] = str(kit / "jobs")
    write_json(path, resources)
