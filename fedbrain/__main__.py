"""The command `fedbrain`: `fedbrain COMMAND ...` runs the module of that row of `COMMANDS`."""

import difflib
import runpy
import sys

from fedbrain import __version__
from fedbrain.cli.commands import COMMANDS

HELP = """fedbrain {version}: federated learning on brain MRI.

  fedbrain COMMAND [ARGUMENT] [--FLAG=VALUE ...]
  fedbrain COMMAND -h    what the command does, its flags, and the fields of a configuration
  fedbrain --version

Commands:
{commands}

To try it, on synthetic data: fedbrain train quickstart
Exit code: 0 done, 1 an input that cannot be used, 2 a command that is not understood, 130 Ctrl-C.
"""


def help_text() -> str:
    """All commands, a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}} {command.does}" for name, command in COMMANDS.items()]
    return HELP.format(version=__version__, commands="\n".join(lines))


def refuse(name: str) -> None:
    """Ends the program, with the nearest command."""
    near = difflib.get_close_matches(name.lower(), COMMANDS, 1, 0.5)
    hint = f"Did you mean {near[0]}?" if near else f"Choose from: {', '.join(COMMANDS)}."
    print(f"fedbrain: unknown command {name!r}. {hint}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Runs a command as `python -m MODULE` would."""
    name, *rest = sys.argv[1:] or ["-h"]
    if name == "help" and rest:
        name, rest = rest[0], ["-h"]
    if name in ("-h", "--help", "-help", "help"):
        print(help_text(), end="")
    elif name in ("--version", "-V", "version"):
        print(f"fedbrain {__version__}")
    elif name not in COMMANDS:
        refuse(name)
    else:
        sys.argv = [f"fedbrain {name}", *rest]
        runpy.run_module(COMMANDS[name].module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
