"""Writes docs/architecture.md from the imports.

    python -m tools.architecture_page [--check]

The drawing and the table follow the imports; the places are those of `architecture_walks`. A new
file in a package changes nothing here.
"""

import ast
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import grimp

from tools.architecture_walks import SCAN, UPDATE, WHERE, Hop
from tools.pages import Page, settle

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
ENTRY_POINTS = "entry points"
DEPLOY = (
    "server",
    "hospital_grid",
    "site",
    "provision",
    "submit",
    "what_leaves",
)  # entry points of `deploy`

HOLDS = {
    ENTRY_POINTS: "commands: flags, exit codes, printing",
    "deploy.nvflare": "the network engine, behind a few files",
    "deploy.server_side": "the server's rounds and their supervision",
    "deploy.site_side": "a hospital's answers, and what it allows",
    "deploy.protocol": "messages, checks of messages, jobs",
    "cli": "what all commands share",
    "experiments": "configuration, experiments, rounds, checkpoints, studies, grids",
    "algorithms": "the maths of client and server",
    "aggregators": "aggregation rules, links, attacks",
    "training": "local steps, rounds, evaluation, memory",
    "models": "networks, losses, files of weights",
    "analysis": "metrics, intervals, tables, figures",
    "public": "public data sets as they are downloaded, as BIDS trees",
    "preprocessing": "raw scans to brains in MNI space, and their quality",
    "data": "BIDS, NIfTI, preparation, splits, batches",
    "processes": "start, talk and end of several processes",
    "configs": "configurations by name, and the meaning of their fields",
    "progress": "bars on a terminal, lines in a log",
    "types": "the types that everybody shares",
}


def layers() -> list[list[str]]:
    """Packages from the top down, as the first contract of pyproject.toml has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    rows = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    return [[ENTRY_POINTS], *[[name.removeprefix("fedbrain.") for name in row] for row in rows]]


TEXT = """# Architecture

Made from the imports by `python -m tools.architecture_page`, and compared with them by
`python -m tools.pages --check`.

## Where do I look?

{where}

## The packages

An import may only point down. Packages in one row do not import each other.

```text
{drawing}
```

What each package imports: {arrows} arrows, none of them upwards.

{matrix}

## A scan, from BIDS to results.json

{scan}

## An update, from a hospital to the new model

{update}

In a simulation the same functions run in one process, without messages:
`fedbrain/training/round.py:make_round` takes the place of the network.
"""


def package_of(module: str) -> str:
    """The package, or the row of entry points, that a module belongs to.

    >>> package_of("fedbrain.data.bids"), package_of("fedbrain.main")
    ('data', 'entry points')
    """
    parts = module.split(".")[1:]
    if not parts or parts == ["deploy"]:
        return ""
    if parts[0] == "deploy":
        return ENTRY_POINTS if parts[1] in DEPLOY else ".".join(parts[:2])
    return parts[0] if len(parts) > 1 or parts[0] in HOLDS else ENTRY_POINTS


def find_imports() -> set[tuple[str, str]]:
    """Pairs (package, package that it imports)."""
    graph = grimp.build_graph("fedbrain", cache_dir=None)
    modules = {module: package_of(module) for module in graph.modules}
    arrows = set()
    for module, package in modules.items():
        for imported in graph.find_modules_directly_imported_by(module):
            pair = (package, modules[imported])
            if all(pair) and pair[0] != pair[1]:
                arrows.add(pair)
    return arrows


def draw(width: int = 96) -> str:
    """Packages as boxes, a row a layer."""
    lines = []
    for layer in layers():
        room = width // len(layer) - 2
        labels = [name.center(room) for name in layer]
        border = "".join("+" + "-" * room + "+" for _ in layer)
        lines += [border, "".join(f"|{label}|" for label in labels)]
        if len(layer) == 1:
            lines.append(f"|{HOLDS[layer[0]].center(room)}|")
        else:
            lines += _wrapped([HOLDS[name] for name in layer], room)
        lines.append(border)
    return "\n".join(lines)


def _wrapped(texts: list[str], room: int) -> list[str]:
    """Texts side by side, broken between words."""
    columns = []
    for text in texts:
        column = [""]
        for word in text.split():
            if len(column[-1]) + len(word) + 1 > room:
                column.append("")
            column[-1] = f"{column[-1]} {word}".strip()
        columns.append(column)
    height = max(map(len, columns))
    columns = [column + [""] * (height - len(column)) for column in columns]
    return ["".join(f"|{cell.center(room)}|" for cell in row) for row in zip(*columns)]


def _order(pair: tuple[str, str]) -> tuple[int, int]:
    names = [name for layer in layers() for name in layer]
    return names.index(pair[0]), names.index(pair[1])


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def imports_table(arrows: set[tuple[str, str]]) -> str:
    """Package -> packages that it imports."""
    rows = []
    for name in [name for layer in layers() for name in layer]:
        below = sorted((pair for pair in arrows if pair[0] == name), key=_order)
        rows.append([name, ", ".join(imported for _, imported in below) or "-"])
    return table(["package", "imports"], rows)


def walk(hops: Sequence[Hop]) -> str:
    """A numbered table."""
    rows = ([str(k), f"`{hop.place}`", hop.what] for k, hop in enumerate(hops, 1))
    return table(["", "file:function", "what happens"], rows)


def names_in(path: Path) -> set[str]:
    """Functions, methods (`Class.method`), functions in functions, and tables of a file."""
    names: set[str] = set()

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                names.add(prefix + child.name)
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.Assign | ast.AnnAssign) and not prefix:
                targets = child.targets if isinstance(child, ast.Assign) else [child.target]
                names.update(target.id for target in targets if isinstance(target, ast.Name))

    visit(ast.parse(path.read_text(encoding="utf-8")), "")
    return names


def render() -> str:
    """The page."""
    arrows = find_imports()
    questions = [[question, f"`{hop.place}`", hop.what] for question, hop in WHERE]
    return TEXT.format(
        where=table(["question", "file:function", "what is there"], questions),
        drawing=draw(),
        arrows=len(arrows),
        matrix=imports_table(arrows),
        scan=walk(SCAN),
        update=walk(UPDATE),
    )


MADE = Page(PAGE, "python -m tools.architecture_page", lambda old: render())

if __name__ == "__main__":
    settle([MADE])
