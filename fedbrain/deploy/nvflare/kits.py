"""Kits: keys, certificates and settings for the server, every site and the lead of a consortium.
The engine makes them; here its settings are narrowed to what fedbrain needs.
"""

# The engine is an extra: `pip install -e '.[deploy]'`.
# pyright: reportMissingImports=false, reportMissingModuleSource=false

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvflare.lighter.provision import prepare_builders, prepare_project
from nvflare.lighter.provisioner import Provisioner

from fedbrain.deploy.nvflare.hardening import harden
from fedbrain.deploy.nvflare.renewal import forget_certificates
from fedbrain.deploy.nvflare.requests import keep_requests

ROOT_DAYS = 3650  # of the authority; the certificates of sites and server last 360 days
ENGINE, OURS = "nvflare.lighter.impl", "fedbrain.deploy.nvflare"


def provision(
    consortium: Mapping[str, Any], output: Path, requests: Path | None = None
) -> dict[Path, str]:
    """Makes a new set of kits, under the authority that `output` holds already or, the first time,
    under a new one.

    Args:
      consortium: as `read_consortium` returns it.
      output: folder of the authority and of the kits.
      requests: folder of new requests `NAME.csr` of sites that make their keys themselves.

    Returns:
      The kits' folders, `output/kits/NAME` -> fingerprint of the key that the site made, of which
      the kit has the certificate alone; empty: the key is in the kit. Kits that there were are in
      `output/kits.N` then.
    """
    server, work = consortium["server"], output / "authority"
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    own_keys = keep_requests(requests, work / "requests", consortium["sites"])
    project = {
        "api_version": 3,
        "name": consortium["name"],
        "description": "fedbrain",
        "gen_scripts": False,
        "participants": _participants(consortium),
        "builders": _builders(work / "requests"),
    }
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
    return {kits / name: own_keys.get(name, "") for name in names.values()}


def _builders(requests: Path) -> list[dict[str, Any]]:
    """The engine's steps; ours makes the certificates."""
    steps = {
        f"{ENGINE}.workspace.WorkspaceBuilder": {"template_file": ["master_template.yml"]},
        f"{ENGINE}.static_file.StaticFileBuilder": {"config_folder": "config", "scheme": "grpc"},
        f"{OURS}.requests.Certificates": {"root_valid_days": ROOT_DAYS, "requests": str(requests)},
        f"{ENGINE}.signature.SignatureBuilder": {},
    }
    return [{"path": path, "args": args} for path, args in steps.items()]


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
