"""The pages that are made from the code: what is stale is told, and mended by the command it names.

Whether the pages of this repository are stale is not asked here: `.ci/run` does.
"""

from pathlib import Path

import pytest

from tools.pages import Page, every_page, settle

ROOT = Path(__file__).parents[1]


def numbers(path):
    """A page whose code says 1 2 3, below what a person wrote."""
    return Page(path, "python -m numbers", lambda old: old.split("\n")[0] + "\n1 2 3\n")


@pytest.fixture
def stale(tmp_path):
    path = tmp_path / "docs" / "numbers.md"
    path.parent.mkdir()
    path.write_text("# Numbers\n1 2\n")
    return numbers(path)


def test_a_stale_page_is_told_with_its_command_and_left_as_it_is(stale):
    before = stale.path.stat().st_mtime_ns
    with pytest.raises(SystemExit) as ended:
        settle([stale], ["--check"])
    assert ended.value.code == "docs/numbers.md is stale: python -m numbers"
    assert stale.path.read_text() == "# Numbers\n1 2\n"
    assert stale.path.stat().st_mtime_ns == before


def test_every_stale_page_has_a_sentence_and_others_have_none(stale, tmp_path):
    other, fresh = (tmp_path / "docs" / name for name in ("other.md", "fresh.md"))
    other.write_text("# Numbers\n")
    fresh.write_text("# Numbers\n1 2 3\n")
    with pytest.raises(SystemExit) as ended:
        settle([stale, numbers(fresh), numbers(other)], ["--check"])
    assert ended.value.code.splitlines() == [
        "docs/numbers.md is stale: python -m numbers",
        "docs/other.md is stale: python -m numbers",
    ]


def test_the_command_mends_what_the_check_says(stale):
    settle([stale], [])
    assert stale.path.read_text() == "# Numbers\n1 2 3\n"
    settle([stale], ["--check"])


def test_another_argument_is_refused_and_nothing_is_written(stale):
    with pytest.raises(SystemExit, match="2"):
        settle([stale], ["--chek"])
    assert stale.path.read_text() == "# Numbers\n1 2\n"


# file -> (what the code says there, what a stale page may have in its place)
TORN = {
    "architecture.md": ("| experiments | ", "| experiments | cli, "),
    "configuration.md": ("| `rounds` | ", "| `rounds` | 7"),
    "what_leaves.md": ("| `fedavg` | ", "| `fedavg` | not "),
    "aggregation.md": ("| `median()` | ", "| `median()` | not "),
}


@pytest.mark.parametrize("page", every_page(), ids=lambda page: page.path.name)
def test_a_row_that_the_code_does_not_say_is_found(page):
    said, torn = TORN[page.path.name]
    text = page.path.read_text(encoding="utf-8")
    assert text.count(said) == 1
    mended = page.render(text.replace(said, torn))
    assert said in mended
    assert torn not in mended
    assert page.render(mended) == mended


def test_ci_checks_all_of_them():
    assert ".venv/bin/python -m tools.pages --check\n" in (ROOT / ".ci/run").read_text()
    assert {page.path.name for page in every_page()} == set(TORN)
