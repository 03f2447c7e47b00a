"""Where things are: docs/architecture.md says what the code says, and nothing imports a command."""

from pathlib import Path

import grimp  # comes with import-linter
import pytest

from tools import architecture_page as page

ROOT = Path(__file__).parents[1]
HOPS = [*(hop for _, hop in page.WHERE), *page.SCAN, *page.UPDATE]


def test_the_page_is_what_the_imports_say():
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), (
        "docs/architecture.md: python -m tools.architecture_page"
    )


@pytest.mark.parametrize("place", sorted({hop.place for hop in HOPS}))
def test_functions_that_are_named_exist(place):
    path, _, name = place.partition(":")
    assert name in page.names_in(ROOT / path), place


@pytest.mark.parametrize("walk", [page.SCAN, page.UPDATE], ids=["scan", "update"])
def test_no_hop_is_passed_twice(walk):
    places = [hop.place for hop in walk]
    assert len(places) == len(set(places))


def test_nothing_imports_an_entry_point():
    graph = grimp.build_graph("fedbrain", cache_dir=None)
    entry_points = {m for m in graph.modules if page.package_of(m) == page.ENTRY_POINTS}
    assert "fedbrain.main" in entry_points
    importers = {m: graph.find_modules_that_directly_import(m) for m in entry_points}
    assert not {m: sorted(names) for m, names in importers.items() if names}


def test_an_import_points_down():
    order = [set(layer) for layer in page.layers()]
    rank = {name: k for k, layer in enumerate(order) for name in layer}
    _, arrows = page.count_imports()
    assert not [pair for pair in arrows if rank[pair[0]] >= rank[pair[1]]]
