"""Labels that are names of classes, as tables write them."""

import numpy as np
import pytest

from fedbrain.data.class_labels import parse_label
from fedbrain.data.conform import Recipe
from fedbrain.data.dataset import Preparation
from fedbrain.data.sites import arrays, bids
from fedbrain.data.synthetic.site import synthetic
from tests.tiny import brain, save_volume

GROUPS = ("control", "patient")
RECIPE = Recipe(6.0, (8, 8, 8))


@pytest.mark.parametrize(
    ("text", "column", "classes", "value"),
    [
        ("patient", "group", GROUPS, 1),
        (" Control ", "group", GROUPS, 0),
        ("1", "group", GROUPS, 1),
        ("n/a", "group", GROUPS, None),
        ("none", "lesions", ("none", "some"), 0),
        ("2", "group", ("1", "2"), 1),
        ("1.0", "group", ("1", "2"), 0),
        ("a", "allele", ("a", "A"), 0),
        ("F", "sex", ("F", "M"), 0),
        ("F", "sex", ("M", "F"), 1),
        ("male", "sex", ("M", "F"), 0),
        ("male", "sex", ("0", "1"), 1),
        ("M", "sex", (), 1),
        ("52", "score", (), 52),
        ("7", "group", ("0", "1"), 7),  # refused where all sites are known
    ],
)
def test_a_label_is_its_place_among_the_names(text, column, classes, value):
    assert parse_label(text, column, classes) == value


@pytest.mark.parametrize(
    ("text", "column", "classes", "words"),
    [
        ("pilot", "group", GROUPS, "the classes control, patient, or n/a, got 'pilot'"),
        ("F", "sex", ("men", "women"), "the classes men, women, or n/a, got 'F'"),
        ("0", "group", ("1", "2"), "the classes 1, 2, or n/a, got '0'"),
        ("AA", "allele", ("a", "A"), "got 'AA'"),
        ("patient", "group", ("0", "1"), "Name the classes in config.loss"),
        ("patient", "group", (), "expected a number"),
    ],
)
def test_what_is_no_class_is_answered_with_the_names(text, column, classes, words):
    with pytest.raises(ValueError, match=words):
        parse_label(text, column, classes)


def _table(path, groups):
    rows = [f"sub-{i:02d}\t{group}" for i, group in enumerate(groups)]
    path.write_text("\n".join(["participant_id\tgroup", *rows]) + "\n")
    return path


def test_every_source_gives_the_same_numbers(tmp_path):
    """The order is that of the names, whoever comes first at a site."""
    groups = ["patient", "control", "pilot", "n/a"]
    tree, ids = tmp_path / "tree", [f"sub-{i:02d}" for i in range(4)]
    for i, name in enumerate(ids):
        save_volume(tree / name / "anat" / f"{name}_T1w.nii.gz", brain(i))
    table = _table(tmp_path / "tree/participants.tsv", groups)
    np.savez(tmp_path / "a.npz", image=[brain(i) for i in range(4)], participant_id=ids)
    preparation = Preparation(RECIPE, tmp_path / "cache", classes=GROUPS)
    sources = (
        bids(str(tree), label="participants:group"),
        arrays(str(tmp_path / "a.npz"), label="group", table=str(table)),
    )
    for source in sources:
        scans, report = source("here", preparation)
        assert scans.target.tolist() == [1, 0]
        assert "control, patient, or n/a, got 'pilot'" in str(report.left_out)
        assert "n/a" in str(report.left_out) or "not known" in str(report.left_out)


def test_sexes_of_synthetic_people_follow_the_names(tmp_path):
    first, second = (
        synthetic("amber", subjects=4, label="sex")(
            "amber", Preparation(RECIPE, tmp_path, scratch=tmp_path, classes=names)
        )[0]
        for names in (("F", "M"), ("M", "F"))
    )
    np.testing.assert_array_equal(first.target, 1 - second.target)
