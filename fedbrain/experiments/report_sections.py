"""Sections that reports of experiments, grids and runs between hospitals have in common."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedbrain import __version__
from fedbrain.analysis.html_page import PNG, Block, Items, Picture, Section, Table
from fedbrain.configs import base
from fedbrain.experiments.public_text import hide, public_command
from fedbrain.experiments.stored_json import UNREADABLE
from fedbrain.experiments.workdir import clean, differences

ASKED = (
    "unit", "target", "modalities", "covariates", "prepare", "harmonise", "partition",
    "splits.repeats", "splits.inner", "model", "loss", "initial", "trainable", "regimes", "rounds",
    "algorithm",
    "client.optimizer", "client.batch_size", "client.epochs", "server.aggregator",
    "server.optimizer", "augment", "baselines", "seed",
)  # fmt: skip
MACHINE = ("sites", "cache", "driver", "residence", "checkpoint")  # not what was asked
VERSIONS = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "python")
LABEL = "SYNTHETIC data: says nothing about real brains."


def read_object(path: Path) -> dict[str, Any]:
    """What a JSON file holds; empty where it is absent, cut, or no object.

    Args:
      path: of the file.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, *UNREADABLE):
        return {}
    return value if isinstance(value, dict) else {}


def _field(config: Mapping[str, Any], name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def asked_tables(config: Mapping[str, Any]) -> list[Block]:
    """The fields of an experiment: those that differ from the base, then the important others.

    Args:
      config: as `config.json` has it; empty: it is not known.
    """
    if not config:
        return ["The configuration is not in this folder."]
    base_fields = clean(base.get_config().to_dict())
    changed = [text.partition(":")[0] for text in differences(base_fields, config)]
    changed = [name for name in changed if name.split(".")[0] not in MACHINE]
    rows = [[name, _text(_field(config, name)), _text(_field(base_fields, name))]
            for name in changed if _field(config, name) is not None]  # fmt: skip
    others = [[name, _text(_field(config, name))] for name in ASKED if name not in changed]
    differ = Table(
        "Fields that differ from configs/base.py", [("field", "value", "base"), *rows], text=True
    )
    same = Table("Fields as in configs/base.py", [("field", "value"), *others], text=True)
    return [table for table, given in ((differ, rows), (same, others)) if given]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return hide(str(value)) or "none"


def made_section(processes: Mapping[str, Sequence[Mapping[str, Any]]]) -> Section:
    """Which programs made the results.

    Args:
      processes: experiment, or "" for the only one -> entries of `made_by.json`.
    """
    rows: list[list[str]] = []
    for name, entries in processes.items():
        for entry in entries:
            versions = ", ".join(f"{key} {entry[key]}" for key in VERSIONS if entry.get(key))
            fields = {
                "experiment": name,
                "fedbrain": entry.get("fedbrain"),
                "commit": entry.get("commit"),
                "command": public_command(str(entry.get("command") or "")),
                "device": entry.get("device"),
                "started": entry.get("started"),
                "ended": entry.get("ended"),
                "outcome": entry.get("outcome"),
                "seconds": entry.get("seconds"),
                "versions": versions,
            }
            rows += [
                [key, "not known" if value in (None, "") else hide(str(value))]
                for key, value in fields.items()
                if key != "experiment" or value
            ]
    if not rows:
        return Section(
            "How it was made", ["made_by.json is not in this folder, or cannot be read."]
        )
    return Section("How it was made", [Table("Processes", [("", "value"), *rows], text=True)])


def cite_section(results: Path | None, models: Mapping[str, str]) -> Section:
    """How to cite and reproduce.

    Args:
      results: the file `results.json`; None for a grid.
      models: run -> digest of its model.
    """
    blocks: list[Block] = [
        (
            f"Cite fedbrain (version and commit above; this page was written by {__version__}), and"
            " the paper whose method it re-implements: Real-world federated learning for brain"
            " imaging scientists, Frontiers in Digital Health 2026, doi 10.3389/fdgth.2026.1691088."
            " CITATION.cff of the repository has the entries."
        ),
        (
            "To reproduce: install this commit with the versions above, take the fields of"
            " config.json and the same scans, and run the command with a new --workdir. On the"
            " same kind of device the results are the same, byte for byte. A commit that ends in"
            " -dirty had local changes, which this page does not hold."
        ),
    ]
    rows = [["results.json", hashlib.sha256(results.read_bytes()).hexdigest()]] if results else []
    rows += [[f"model {name}", str(digest)] for name, digest in models.items()]
    if rows:
        blocks.append(Table("SHA-256", [("", "digest"), *rows], text=True))
    return Section("Cite and reproduce", blocks)


def pictures(files: Mapping[str, Path]) -> list[Block]:
    """Figures, and a line for each that cannot be read.

    Args:
      files: what a figure shows -> its file; those that are absent are left out.
    """
    blocks: list[Block] = []
    broken = []
    for alt, path in files.items():
        if not path.is_file():
            continue
        png = path.read_bytes()
        if png.startswith(PNG) and b"IEND" in png[-12:]:
            blocks.append(Picture(alt, png))
        else:
            broken.append(f"{alt}: the file is damaged, and is not shown.")
    return [*blocks, Items(broken)] if broken else blocks
