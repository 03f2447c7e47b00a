"""Looks at an experiment before it is run: scans kept and left out, warnings, memory, time, disk.

    fedbrain check quickstart [--output=FOLDER] [--workdir=DIR] [--site NAME=FOLDER]

Nothing is trained, and nothing is written but the folder of --output: a montage of a few prepared
scans and the whole data report of every site. `python -m fedbrain.check` does the same. The exit
code is 1 when the experiment would be refused.
"""

from pathlib import Path
from typing import Any

from fedbrain import cli

if __name__ == "__main__":
    OUTPUT = cli.define_path(
        "output", None, "Folder for montages and data reports, which name subjects."
    )

    def _check(config: Any, workdir: Path) -> None:
        from fedbrain.experiments import check  # seconds, which help does not need

        check.run(config, workdir, output=OUTPUT.value)

    cli.run_config(
        _check,
        kind="experiment",
        interrupted="Nothing was changed.",
        prepare=cli.configure,
    )
