"""Writes docs/architecture.md from the imports: python -m tools.architecture_page.

The drawing and the tables of imports are counted; `WHERE`, `SCAN` and `UPDATE` below are written by
hand. A test fails when the page and the code differ, or when a function that is named here is gone.
"""

import ast
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
ENTRY_POINTS = "entry points"
DEPLOY = ("server", "site", "provision", "submit", "what_leaves")  # entry points of `deploy`

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
    "data": "BIDS, NIfTI, preparation, splits, batches",
    "types": "the types that everybody shares",
}


def layers() -> list[list[str]]:
    """Packages from the top down, as the first contract of pyproject.toml has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    rows = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    return [[ENTRY_POINTS], *[[name.removeprefix("fedbrain.") for name in row] for row in rows]]


class Hop(NamedTuple):
    """A function, and what happens there."""

    place: str  # file:function, or file:Class.method
    what: str


WHERE: Sequence[tuple[str, Hop]] = (
    ("Where is an aggregation rule added?",
     Hop("fedbrain/aggregators/__init__.py:RULES", "one row a rule; CONTRIBUTING.md shows one")),
    ("Where is a scan read?",
     Hop("fedbrain/data/nifti.py:read_volume", "one NIfTI file; data/bids.py lists the files")),
    ("Where does a round happen?",
     Hop("fedbrain/training/round.py:make_round", "cohort in, new server state out")),
    ("What leaves a hospital?",
     Hop("fedbrain/deploy/protocol/answers.py:write_update", "the update; docs/what_leaves.md has"
         " every field")),
    ("Where is a table printed?",
     Hop("fedbrain/experiments/experiment.py:run", "its last lines print the text that"
         " `render_table` in analysis/results_table.py makes")),
    ("Where is a configuration read?",
     Hop("fedbrain/experiments/config.py:read_experiment", "every field, once")),
    ("Where is an algorithm added?",
     Hop("fedbrain/algorithms/__init__.py:VARIANTS", "one row an algorithm")),
    ("Where is a network added?", Hop("fedbrain/models/__init__.py:MODELS", "one row a network")),
    ("Where is a data source added?", Hop("fedbrain/data/sites.py:SITES", "one row a source")),
    ("Where does a site refuse a job?",
     Hop("fedbrain/deploy/site_side/policy.py:consent", "by what its site.toml allows")),
    ("Where does the server refuse an answer?",
     Hop("fedbrain/deploy/protocol/gate.py:admit", "the only way in")),
)  # fmt: skip

SCAN: Sequence[Hop] = (
    Hop("fedbrain/experiments/experiment.py:run", "reads the configuration"),
    Hop("fedbrain/experiments/clients.py:load_clients", "asks every site for its scans"),
    Hop("fedbrain/data/sites.py:bids.load", "one site: a BIDS tree"),
    Hop("fedbrain/data/labelled.py:labelled_scans", "keeps or leaves out each scan, with a reason"),
    Hop("fedbrain/data/bids.py:list_images", "lists the image files"),
    Hop("fedbrain/data/choice.py:one_per_session", "chooses one image of each session"),
    Hop("fedbrain/data/labels.py:make_lookup", "finds the labels in the tables"),
    Hop("fedbrain/data/prepare.py:prepare_scan", "prepares a scan that the cache does not have"),
    Hop("fedbrain/data/nifti.py:read_volume", "reads the NIfTI file, in RAS order"),
    Hop("fedbrain/data/conform.py:conform", "field of view, voxel size, z-score"),
    Hop("fedbrain/data/prepare.py:save_prepared", "writes the prepared volume to the cache"),
    Hop("fedbrain/experiments/experiment.py:train_and_report", "trains every regime"),
    Hop("fedbrain/data/splits.py:split_scans", "train, validation or test, by subject"),
    Hop("fedbrain/data/pipeline.py:train_batches", "a training scan: shuffled, augmented, batched"),
    Hop("fedbrain/training/local_steps.py:stream", "trains on the batches"),
    Hop("fedbrain/experiments/predict_scans.py:predict_scans", "a test scan, by the best model"),
    Hop("fedbrain/data/pipeline.py:eval_batches", "in order, unchanged"),
    Hop("fedbrain/experiments/predictions.py:to_predictions", "prediction, target, subject, site"),
    Hop("fedbrain/analysis/results.py:summarise", "all regimes and their differences"),
    Hop("fedbrain/analysis/statistics.py:accuracy", "MAE, its interval, r"),
    Hop("fedbrain/experiments/workdir.py:write_json", "writes results.json"),
    Hop("fedbrain/analysis/results_table.py:render_table", "the table that is printed"),
)

UPDATE: Sequence[Hop] = (
    Hop("fedbrain/deploy/nvflare/site.py:Hospital.execute", "the hospital gets the order to train"),
    Hop("fedbrain/deploy/site_side/worker.py:Worker.receive", "reads the message"),
    Hop("fedbrain/deploy/site_side/worker.py:Worker._train", "trains on the model of the round"),
    Hop("fedbrain/experiments/client_work.py:make_client", "the site's scans as batches"),
    Hop("fedbrain/training/round.py:_mapped.map_clients", "a cohort of one client"),
    Hop("fedbrain/training/local_steps.py:begin", "before the first local step"),
    Hop("fedbrain/training/local_steps.py:stream", "one step for each batch"),
    Hop("fedbrain/algorithms/client.py:_step", "the equation of a step"),
    Hop("fedbrain/training/local_steps.py:end", "after the last one: an update, and what stays"),
    Hop("fedbrain/algorithms/client.py:_finish", "delta = after - before"),
    Hop("fedbrain/deploy/protocol/answers.py:write_update", "the update as scalars and vectors"),
    Hop("fedbrain/deploy/protocol/wire.py:pack", "header, hash, vectors: one message"),
    Hop("fedbrain/deploy/protocol/codec.py:encode", "a vector as bytes, bit for bit"),
    Hop("fedbrain/deploy/site_side/audit.py:Audit.record", "a line in the site's own record"),
    Hop("fedbrain/deploy/nvflare/parcels.py:pieces", "a large message in pieces of 1 MB"),
    Hop("fedbrain/deploy/nvflare/transport.py:Transport.ask", "the server receives it"),
    Hop("fedbrain/deploy/nvflare/parcels.py:whole", "puts the pieces together"),
    Hop("fedbrain/deploy/protocol/gate.py:admit", "admits or refuses it"),
    Hop("fedbrain/deploy/protocol/wire.py:unpack", "checks hash and header, reads the vectors"),
    Hop("fedbrain/deploy/protocol/gate.py:too_large", "compares the norms of the round"),
    Hop("fedbrain/deploy/server_side/cohort.py:read_answers", "the cohort as one matrix"),
    Hop("fedbrain/deploy/server_side/cohort.py:make_aggregate.aggregate", "the server's step"),
    Hop("fedbrain/algorithms/server.py:reduce", "a cohort becomes a direction"),
    Hop("fedbrain/aggregators/mean.py:mean_over_clients", "by the rule of the configuration"),
    Hop("fedbrain/algorithms/server.py:apply", "the direction moves the model"),
    Hop("fedbrain/deploy/protocol/questions.py:write_model", "the new model goes to validation"),
    Hop("fedbrain/experiments/round_end.py:end_round", "the best model so far; the learning rate"),
    Hop("fedbrain/experiments/workdir.py:MetricsLog.write", "a line of the log"),
    Hop("fedbrain/experiments/checkpoints.py:Checkpoints.save", "the new model is on the disk"),
)

TEXT = """# Architecture

Made from the imports by `python -m tools.architecture_page`; a test compares this page with the
code.

## Where do I look?

{where}

## The packages

An import may only point down. Packages in one row do not import each other. The number behind a
name is its number of files.

```text
{drawing}
```

What each package imports, and in how many imports between files: {arrows} arrows, none of them
upwards.

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


def count_imports() -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """(files of each package, imports between the files of two packages)."""
    graph = grimp.build_graph("fedbrain", cache_dir=None)
    modules = {module: package_of(module) for module in graph.modules}
    files = Counter(package for package in modules.values() if package)
    arrows: Counter[tuple[str, str]] = Counter()
    for module, package in modules.items():
        for imported in graph.find_modules_directly_imported_by(module):
            pair = (package, modules[imported])
            if all(pair) and pair[0] != pair[1]:
                arrows[pair] += 1
    return files, arrows


def draw(files: Counter[str], width: int = 96) -> str:
    """Packages as boxes, a row a layer."""
    lines = []
    for layer in layers():
        room = width // len(layer) - 2
        labels = [f"{name} ({files[name]})".center(room) for name in layer]
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


def imports_table(arrows: Counter[tuple[str, str]]) -> str:
    """Package -> packages that it imports, with their numbers."""
    rows = []
    for name in [name for layer in layers() for name in layer]:
        below = sorted((pair for pair in arrows if pair[0] == name), key=_order)
        rows.append([name, ", ".join(f"{to} {arrows[of, to]}" for of, to in below) or "-"])
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
    files, arrows = count_imports()
    questions = [[question, f"`{hop.place}`", hop.what] for question, hop in WHERE]
    return TEXT.format(
        where=table(["question", "file:function", "what is there"], questions),
        drawing=draw(files),
        arrows=len(arrows),
        matrix=imports_table(arrows),
        scan=walk(SCAN),
        update=walk(UPDATE),
    )


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
