"""The tables of docs/aggregation.md, made from the tables in code.

    python -m tools.aggregation_page [--check]

With --check nothing is written, and a page that the code no longer says is exit code 1.
"""

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

from fedbrain.aggregators import LINKS, RULES, Row, weighted_mean
from fedbrain.aggregators.attacks import EVERY
from fedbrain.aggregators.statistics import mean_statistics
from fedbrain.algorithms import EXAMPLES, VARIANTS, ClientChain, ServerChain, federated
from fedbrain.algorithms.optimizers import SERVER_OPTIMIZERS, UPLOADS
from fedbrain.experiments.spec import call
from fedbrain.types import Task
from tools.pages import Page, settle

PAGE = Path(__file__).parents[1] / "docs" / "aggregation.md"
P = 1000


def summary(make: Callable) -> str:
    """The first paragraph of a docstring."""
    return " ".join((inspect.getdoc(make) or "").split("\n\n")[0].split())


def references(make: Callable) -> str:
    """Links of the docstring, or of the module's."""
    for text in (
        inspect.getdoc(make) or "",
        getattr(inspect.getmodule(make), "__doc__", None) or "",
    ):
        urls = re.findall(r"https://\S+[\w/]", text)
        if urls:
            return ", ".join(f"[{k + 1}]({url})" for k, url in enumerate(dict.fromkeys(urls)))
    return ""


def arguments(make: Callable) -> str:
    """The signature without annotations."""
    parameters = inspect.signature(make).parameters.items()
    return ", ".join(
        name if p.default is p.empty else f"{name}={p.default!r}" for name, p in parameters
    )


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    cells = [[cell.replace("||", "‖").replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def rules(rows: Mapping[str, Row]) -> str:
    """Rules or links."""
    heads = [
        "rule",
        "formula",
        "memory",
        "needs",
        "survives",
        "protects for f = 1, from n on",
        "cost",
        "checked against",
        "reference",
    ]
    lines = [
        [f"`{name}({arguments(row.make)})`", row.formula, memory(row), row.needs or "-",
         row.breakdown or "-", protects(row), row.cost, row.check, references(row.make)]
        for name, row in rows.items()
    ]  # fmt: skip
    return table(heads, lines)


def protects(row: Row) -> str:
    """What one wrong client cannot spoil, and from how many clients on; `with_rule()` takes the
    median of statistics and memory, which survives n > 2f.
    """
    fewest = row.fewest(1)
    beside = RULES["median"].fewest(1)
    return "-" if fewest is None else f"delta {fewest}, statistics {beside}, memory {beside}"


def memory(row: Row) -> str:
    """What a rule keeps between rounds, read off its state."""
    state = call(f"rule({row.example})", {"rule": row.make}).init(jnp.zeros(P))
    names = [f"`{field}`" for field in getattr(state, "_fields", ())]
    return ", ".join(names) or "-"


def size(tree) -> str:
    """Numbers of a tree, in models."""
    numbers = sum(x.size for x in jax.tree.leaves(tree))
    if numbers >= P:
        return f"{numbers // P} model{'s' if numbers >= 2 * P else ''}"
    return "scalars" if numbers else "-"


def variants() -> str:
    """Algorithms: their memory and their messages, measured on a model of P numbers."""

    def loss(params, model_state, batch, key):
        value = jnp.sum((params["w"] - batch["image"][0]) ** 2)
        return value, (model_state, {"loss": value, "count": batch["mask"].sum()})

    def with_features(params, model_state, batch, key):
        value, aux = loss(params, model_state, batch, key)
        return (value, params["w"][None]), aux

    initial = {"params": {"w": jnp.zeros(P)}}
    task = Task(lambda key, image: initial, loss, lambda *a: (a[0], a[0]), with_features)
    rows = []
    for name, make in VARIANTS.items():
        variant = call(f"{name}({EXAMPLES.get(name, '')})", VARIANTS)
        algorithm = federated(
            ClientChain(task, optax.sgd(0.1)),
            ServerChain(weighted_mean(), optax.sgd(1.0), mean_statistics),
            variant=variant,
        )
        variables = {"params": {"w": jnp.zeros(P)}}
        server, own = algorithm.init(variables, jnp.ones(3)), algorithm.init_client(variables)
        carry = algorithm.local.init(server, own, jax.random.key(0))
        batch = {"image": jnp.zeros((1, P)), "target": jnp.zeros(1), "mask": jnp.ones(1)}
        carry, metrics = algorithm.local.step(carry, batch)
        update, _ = algorithm.local.finish(
            server, carry, {**metrics, "examples": jnp.ones(()), "steps": jnp.ones(())}
        )
        reports = sorted(set(update.metrics) - set(metrics) - {"examples", "steps"})
        sends = ", ".join(f"`{name}`" for name in reports) or size(update.extra)
        rows.append(
            [f"`{name}({arguments(make)})`", summary(make), size(server.extra), size(own), sends,
             references(make)]
        )  # fmt: skip
    heads = ["algorithm", "in one sentence", "server keeps", "client keeps",
             "sends besides the delta", "reference"]  # fmt: skip
    return table(heads, rows)


def plain(makes: Mapping[str, Callable]) -> str:
    """A family with nothing but names and docstrings."""
    rows = [
        [f"`{name}({arguments(make)})`", summary(make), references(make)]
        for name, make in makes.items()
    ]
    return table(["name", "in one sentence", "reference"], rows)


def render() -> dict[str, str]:
    """Every generated table, by the name of its marker."""
    uploads = {name: make for name, make in UPLOADS.items() if name != "identity"}
    return {
        "rules": rules(RULES),
        "links": rules(LINKS),
        "variants": variants(),
        "server": plain(SERVER_OPTIMIZERS),
        "uploads": plain(uploads),
        "attacks": plain(EVERY),
    }


def fill(page: str) -> str:
    """The page with its tables made anew."""
    for name, text in render().items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page, count = re.subn(
            pattern, lambda m, text=text: m[1] + text + "\n" + m[2], page, flags=re.DOTALL
        )
        if count != 1:
            sys.exit(f"{PAGE}: expected one marker <!-- {name} -->, got {count}.")
    return page


MADE = Page(PAGE, "python -m tools.aggregation_page", fill)

if __name__ == "__main__":
    settle([MADE])
