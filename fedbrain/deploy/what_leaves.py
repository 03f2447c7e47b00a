"""Prints docs/what_leaves.md, made from the code.

    python -m fedbrain.deploy.what_leaves > docs/what_leaves.md

A field that the code sends and that the page does not explain is an error; tests compare the page
with the messages of a run.
"""

from fedbrain import cli
from fedbrain.deploy.protocol.what_leaves import render_config

if __name__ == "__main__":
    from configs.quickstart import get_config

    cli.configure()
    print(render_config(get_config().to_dict(), name="configs/quickstart.py"), end="")
