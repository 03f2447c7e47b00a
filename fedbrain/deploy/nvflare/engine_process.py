"""The engine's process for a kit, of the server or of a site."""

import json
import os
import sys
from pathlib import Path

from fedbrain.experiments.workdir import write_json

# seconds for a piece of a large message, tried four times
PATIENCE = {"NVFLARE_NP_STREAMING_PER_REQUEST_TIMEOUT": "45"}
# memory that is freed goes back to the system
LEAN = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}


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
