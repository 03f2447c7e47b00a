"""The pages of docs/ that are made from the code: writes all of them, or says which are stale.

    python -m tools.pages
    python -m tools.pages --check

With --check nothing is written: exit code 1, and a sentence for each page that the code no longer
says. `.ci/run` calls it so.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1] / "docs"


class Page(NamedTuple):
    """A page, or a page with parts, that is made from the code."""

    path: Path
    command: str  # that writes it
    render: Callable[[str], str]  # the text that is there -> the text that should be there


def settle(pages: Iterable[Page], arguments: Sequence[str] | None = None) -> None:
    """Writes pages; with --check among the arguments, exits with 1 where one would change.

    Args:
      pages: to write or to check.
      arguments: of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where one is stale")
    check, stale = parser.parse_args(arguments).check, []
    for page in pages:
        old = page.path.read_text(encoding="utf-8")
        new = page.render(old)
        if check and new != old:
            stale.append(f"{page.path.parent.name}/{page.path.name} is stale: {page.command}")
        elif new != old:
            page.path.write_text(new, encoding="utf-8")
    if stale:
        sys.exit("\n".join(stale))


def every_page() -> list[Page]:
    """All pages; those that take long come last."""
    from tools import aggregation_page, architecture_page, configuration_page

    return [
        architecture_page.MADE,
        configuration_page.MADE,
        Page(DOCS / "what_leaves.md", "fedbrain what-leaves > docs/what_leaves.md", _what_leaves),
        aggregation_page.MADE,
    ]


def _what_leaves(old: str) -> str:
    """As the command of docs/what_leaves.md prints it."""
    from fedbrain.configs.quickstart import get_config
    from fedbrain.deploy.protocol.what_leaves import render_config

    del old  # all of it is made
    return render_config(get_config().to_dict(), name="configs/quickstart.py")


if __name__ == "__main__":
    settle(every_page())
