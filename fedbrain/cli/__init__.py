"""What all commands share: settings of the process, flags, help, exit codes.

0: done. 1: an input that cannot be used. 2: a command that cannot be understood. 130: Ctrl-C.
"""

from fedbrain.cli.entry import (
    define_config,
    given,
    name_and_value,
    run_command,
    run_config,
    run_flags,
)
from fedbrain.cli.paths import define_path, define_paths
from fedbrain.cli.process import configure, configure_training
from fedbrain.cli.together import define_place

__all__ = [
    "configure",
    "configure_training",
    "define_config",
    "define_path",
    "define_paths",
    "define_place",
    "given",
    "name_and_value",
    "run_command",
    "run_config",
    "run_flags",
]
