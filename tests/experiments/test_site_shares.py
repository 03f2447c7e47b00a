"""Sites that cannot be used are told together, and no other site is prepared for nothing."""

import pytest

from fedbrain.data.dataset import Preparation
from fedbrain.data.recipes import Recipe
from fedbrain.data.sites import bids
from fedbrain.experiments.site_shares import load_all
from tests.tiny import write_tree


def test_every_site_that_cannot_be_used_is_told(tmp_path):
    tree = str(write_tree(tmp_path / "tree", 3))
    whole = []  # whether a good site was to be prepared: once before a bad one, once after it

    def good(name, preparation):
        whole.append(preparation.scratch is None)
        return bids(tree)(name, preparation)

    sites = {
        "ghent": good,
        "lyon": bids(tree, label="years"),
        "bern": good,
        "graz": bids(str(tmp_path / "nowhere")),
        "ulm": bids(tree, exclude=["sub-00", "sub-01", "sub-02"]),
    }
    with pytest.raises(ValueError, match="^sites.lyon: ") as refused:
        load_all(sites, Preparation(Recipe(6.0, (8, 8, 8)), tmp_path / "cache"))
    sentence = str(refused.value)
    assert "sites.graz: " in sentence
    assert "sites.ulm: expected at least one usable scan" in sentence
    assert not {"ghent", "bern"} & set(sentence.replace(":", " ").replace(".", " ").split())
    assert whole == [True, False]
