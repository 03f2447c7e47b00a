"""What documents show runs; the size of the house is kept."""

import ast
import doctest
import importlib
import inspect
import json
import pkgutil
import re
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fedbrain
from fedbrain.aggregators import AGGREGATORS, RULES, Row
from fedbrain.algorithms import VARIANTS
from fedbrain.deploy.protocol.reveals import Reveals
from fedbrain.deploy.site_side.bounds import number
from fedbrain.experiments.config import read_experiment
from fedbrain.experiments.spec import call
from tests.aggregators import test_aggregators as contract
from tests.aggregators.test_aggregators import apply
from tests.algorithms import test_quadratics
from tests.algorithms.test_quadratics import H, K, distance, fedavg_fixed_point, train
from tests.programs import run_program

ROOT = Path(__file__).parents[1]
SHARED = {
    ROOT / "configs" / f"{name}.py" for name in ("__init__", "base", "grid", "study", "sweep")
}
MODULES = [m.name for m in pkgutil.walk_packages(fedbrain.__path__, "fedbrain.")]
# packages in which every public function has an example
COMPLETE = ("fedbrain.aggregators", "fedbrain.algorithms", "fedbrain.training")
KERNEL = ("fedbrain.algorithms", "fedbrain.training")


def source(module: str) -> str:
    """The text of a module."""
    path = ROOT / module.replace(".", "/")
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()


def examples(module: str) -> list[doctest.DocTest]:
    """The docstrings of a module that have examples."""
    tests = doctest.DocTestFinder().find(importlib.import_module(module))
    return [test for test in tests if test.examples]


EXAMPLES = [test for module in MODULES if ">>>" in source(module) for test in examples(module)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_example_in_a_docstring(example):
    result = doctest.DocTestRunner().run(example)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(COMPLETE)])
def test_every_public_function_has_an_example(module):
    functions = [x.name for x in ast.parse(source(module)).body if isinstance(x, ast.FunctionDef)]
    public = {f"{module}.{name}" for name in functions if not name.startswith("_")}
    assert public <= {test.name for test in EXAMPLES}


def recipe(section: str) -> list[str]:
    """The Python blocks of a section of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run(code: str, known: Mapping = {}) -> dict:
    """The names that a printed module defines, and those that are known before."""
    namespace: dict = dict(known)
    exec(compile(code, "recipe", "exec"), namespace)
    return namespace


def lines_of_code(code: str) -> int:
    """Lines of a printed module without imports, docstrings and empty lines."""
    tree = ast.parse(code)
    no_code = [x for x in ast.walk(tree) if isinstance(x, (ast.Import, ast.ImportFrom))]
    no_code += [x for x in ast.walk(tree) if isinstance(x, ast.Expr) and is_text(x.value)]
    skipped = {k for x in no_code for k in range(x.lineno, (x.end_lineno or x.lineno) + 1)}
    lines = enumerate(code.splitlines(), 1)
    return sum(bool(line.strip()) and number not in skipped for number, line in lines)


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


LARGEST = (  # the third of three clients has the most examples, the first one is absent
    jax.random.normal(jax.random.key(0), (3, 4)).at[0].set(jnp.nan),
    [0.0, 2.0, 5.0],
)


def test_the_rule_of_contributing_keeps_the_contract(monkeypatch):
    """Module and row as printed, in the table of rules."""
    module, row, oracle = recipe("Adding an aggregation rule")
    assert lines_of_code(module) <= 20
    rows = eval("{" + row + "}", {"Row": Row} | run(module))
    monkeypatch.setitem(RULES, "largest_client", rows["largest_client"])
    x, weights = LARGEST
    np.testing.assert_array_equal(apply("largest_client()", x, weights), x[2])
    formula = eval("{" + oracle + "}")["largest_client()"]
    np.testing.assert_array_equal(formula(np.asarray(x[1:]), np.array(weights[1:])), x[2])
    deltas = jax.random.normal(jax.random.key(1), (contract.C, contract.P))
    tests = [name for name in vars(contract.TestRules) if name.startswith("test_")]
    assert len(tests) == 6
    for name in tests:
        garbage = (jnp.nan,) if "absent" in name else ()
        test = getattr(contract.TestRules(), name)
        test("largest_client()", contract.TREES["nested"], deltas, *garbage)


def test_the_algorithm_of_contributing_reaches_its_fixed_point(monkeypatch):
    """Module, rows and test as printed, in the table of algorithms, on quadratic clients."""
    module, row, sent, ranges, printed_test = recipe("Adding an algorithm")
    assert lines_of_code(module) <= 20
    assert eval("{" + sent + "}", {"Reveals": Reveals})["fedcm"].opened
    fedcm = eval("{" + row + "}", run(module))["fedcm"]
    monkeypatch.setitem(VARIANTS, "fedcm", fedcm)
    bounds = eval("{" + ranges + "}", {"number": number})["fedcm"]
    assert set(bounds) == set(inspect.signature(fedcm).parameters)
    run(printed_test, vars(test_quadratics))["test_fedcm_rests_where_fedavg_with_alpha_h_does"]()
    w, _ = train(variant=call(f"fedcm(length={K * H}, alpha=0.5)", VARIANTS), rounds=300)
    assert distance(w) < distance(fedavg_fixed_point())


@pytest.mark.parametrize("section", ["Adding an aggregation rule", "Adding an algorithm"])
def test_the_examples_of_contributing_are_true(section):
    module = recipe(section)[0]
    names = run(module)
    [function] = [x for x in ast.parse(module).body if isinstance(x, ast.FunctionDef)]
    text = ast.get_docstring(function)
    assert text
    example = doctest.DocTestParser().get_doctest(text, names, function.name, "CONTRIBUTING.md", 0)
    assert example.examples
    assert not doctest.DocTestRunner().run(example).failed


def test_the_columns_of_contributing_are_those_of_a_row():
    section = (ROOT / "CONTRIBUTING.md").read_text().split("The columns of a row")[1]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(Row._fields)


def test_the_study_of_contributing_has_a_line_for_the_rule_and_the_algorithm(monkeypatch, tmp_path):
    """As printed, with the rule and the algorithm as printed; two rounds of one seed."""
    rule = run(recipe("Adding an aggregation rule")[0])["largest_client"]
    monkeypatch.setitem(AGGREGATORS, "largest_client", rule)
    monkeypatch.setitem(RULES, "largest_client", Row(rule, "", "", "", "0", "", ""))
    algorithm = run(recipe("Adding an algorithm")[0])["fedcm"]
    monkeypatch.setitem(VARIANTS, "fedcm", algorithm)
    path = tmp_path / "my_study.py"
    path.write_text(recipe("Adding a study")[0])
    short = ("--config.rounds=2", "--config.every=2", "--config.seeds=1", "--quiet")
    done = run_program("fedbrain.compare", f"--config={path}", f"--workdir={tmp_path}/run", *short)
    assert done.returncode == 0, done.stderr
    for method in ("the largest", "FedCM", "median", "FedAvg", "floor: a constant"):
        assert done.stdout.count(f"  {method}  ") == 2, done.stdout


def test_the_rule_of_the_page_is_the_rule_of_contributing():
    """The same rule with a cohort."""
    code = python_of("docs/aggregation.md")
    assert lines_of_code(code) <= 10
    x, weights = LARGEST
    table = {"largest_client": run(code)["largest_client"]}
    np.testing.assert_array_equal(apply("largest_client()", x, weights, table=table), x[2])


def test_every_file_holds_one_idea():
    lengths = {p: len(p.read_text().splitlines()) for p in (ROOT / "fedbrain").rglob("*.py")}
    assert max(lengths.values()) <= 250
    assert statistics.median(lengths.values()) <= 120


def functions_of(body: list) -> Iterator[ast.FunctionDef]:
    """The functions of a module and the methods of its classes; what is nested counts inside."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from functions_of(node.body)


def length(function: ast.FunctionDef) -> int:
    """Lines of a function, signature and docstring included."""
    assert function.end_lineno
    return function.end_lineno - function.lineno + 1


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(KERNEL)])
def test_no_function_of_the_kernel_is_long(module):
    lengths = {f.name: length(f) for f in functions_of(ast.parse(source(module)).body)}
    assert {name: n for name, n in lengths.items() if n > 40} == {}


def test_no_pickle_no_eval_and_no_address_of_a_registry():
    for path in (ROOT / "fedbrain").rglob("*.py"):
        text = path.read_text()
        assert not re.search(
            r"\bimport pickle\b|\beval\(|\bexec\(|torch\.load|allow_pickle=True", text
        ), path


def python_of(page: str) -> str:
    """The first Python block of a page."""
    code = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert code
    return code[1]


@pytest.mark.usefixtures("shared_programs")
def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    code = python_of("README.md")
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    exec(compile(code, "README.md", "exec"), namespace)
    mae = namespace["result"].metrics["regimes"]["federated"]["pooled"]["mae"]
    assert 0 < mae < 50
    assert f"{mae}" in capsys.readouterr().out


@pytest.mark.usefixtures("shared_programs")
def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    """Its cells, one after the other; with fewer subjects than it shows."""
    notebook = json.loads((ROOT / "docs/first_experiment.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert not any(c.get("outputs") for c in notebook["cells"])
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    for cell in cells:
        exec(compile(re.sub(r"subjects=\d+", "subjects=15", cell), "notebook", "exec"), namespace)
    assert "SYNTHETIC: MAE" in (printed := capsys.readouterr().out)
    assert "weighted_mean 10.8" in printed
    assert "median 1.0" in printed


def test_the_python_of_its_page_runs():
    namespace: dict = {}
    exec(compile(python_of("docs/python.md"), "python.md", "exec"), namespace)
    assert namespace["config"].rounds == 50


def test_the_page_of_python_names_everything():
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    assert [name for name in fedbrain.__all__ if f"fedbrain.{name}" not in page] == ["Result"]


def test_the_configuration_of_own_scans_can_be_read():
    namespace: dict = {}
    exec(compile(python_of("docs/own_scans.md"), "own_scans.md", "exec"), namespace)
    assert set(read_experiment(namespace["get_config"]()).sites) == {"lyon", "bern"}


@pytest.mark.parametrize(
    "path", sorted(set(ROOT.glob("configs/*.py")) - SHARED), ids=lambda path: path.stem
)
def test_a_configuration_has_a_row_and_opens_with_command_time_and_what_to_expect(path):
    header = ast.get_docstring(ast.parse(path.read_text())) or ""
    for word in ("\nCommand", "\nTime: ", "\nExpect", f" {path.stem}"):
        assert word in header, word
    assert f"| `configs/{path.name}` |" in (ROOT / "docs/configuration.md").read_text()


def named_tests() -> Iterator[tuple[str, str]]:
    """(file of tests, words of a test's name, or nothing) of every row of the page of reports."""
    for line in (ROOT / "docs/public_reports.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 6 or cells[1] in ("#", "---"):
            continue
        assert cells[4], line
        for part in cells[4].split(";"):
            file, _, names = part.strip().partition(":")
            for name in names.split(","):
                yield file, name.strip()


def test_every_test_that_the_page_of_reports_names_is_there():
    files = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}
    for file, words in named_tests():
        if (ROOT / file).is_dir():
            continue
        text = files[file.rpartition("/")[2]].read_text()
        assert re.search(rf"def test_\w*{words}\w*\(", text), (file, words)
