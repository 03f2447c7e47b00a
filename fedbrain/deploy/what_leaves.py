"""Prints docs/what_leaves.md, made from the code.

    fedbrain what-leaves > docs/what_leaves.md

A field that the code sends and that the page does not explain is an error; tests compare the page
with the messages of a run.
"""

from fedbrain import cli

if __name__ == "__main__":

    def _print() -> None:
        from fedbrain.configs.quickstart import get_config
        from fedbrain.deploy.protocol.what_leaves import render_config

        config = get_config()
        print(render_config(config.to_dict(), name="configs/quickstart.py"), end="")

    cli.run_flags(_print, interrupted="Nothing was lost.")
