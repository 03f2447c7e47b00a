"""Narrows the engine's settings in a kit to what fedbrain needs: nobody from outside may run code,
read files or logs at a site, or start anything but our one class.
"""

import json
from pathlib import Path

from fedbrain.experiments.workdir import write_json

DENIED = ("clone_job", "shell_commands", "byoc", "server-predeployed-flwr")
AT_SERVER = ("operate", "download_job", "app_command")  # a lead asks sites for a job and no more


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
    rights |= dict.fromkeys(AT_SERVER, "none" if at_site else "any") | dict.fromkeys(DENIED, "none")
    nobody = dict.fromkeys(rights, "none")
    permissions = {
        "project_admin": rights,
        **{role: nobody for role in ("org_admin", "lead", "member")},
    }
    write_json(local / "authorization.json", {"format_version": "1.0", "permissions": permissions})
