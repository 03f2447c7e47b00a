"""Writes the table of fields of docs/configuration.md.

    python -m tools.configuration_page [--check]

Field, default and meaning are those of the file that defines them, `fedbrain/configs/base.py`.
"""

import re
from pathlib import Path

from ml_collections import ConfigDict

from fedbrain.cli.help import leaves
from fedbrain.configs import base
from fedbrain.experiments.field_meanings import meanings
from tools.pages import Page, settle

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
TABLE = re.compile(r"(?<=## Fields of an experiment\n\n).*?(?=\n\n## )", re.DOTALL)


def table() -> str:
    """A row for each field."""
    known = meanings("base")
    values = dict(leaves(base.get_config(), known))
    rows = [f"| `{name}` | {_default(values[name])} | {_linked(known[name])} |" for name in known]
    return "\n".join(["| field | default | meaning, and choices |", "| --- | --- | --- |", *rows])


def _default(value: object) -> str:
    return "" if value in ("", ()) or isinstance(value, ConfigDict) else f"`{value}`"


def _linked(sentence: str) -> str:
    return re.sub(r"docs/(\w+\.md)", r"[\1](\1)", sentence)


def render(text: str) -> str:
    """The page with the table of today.

    Args:
      text: of the page.
    """
    return TABLE.sub(lambda match: table(), text, count=1)


MADE = Page(PAGE, "python -m tools.configuration_page", render)

if __name__ == "__main__":
    settle([MADE])
