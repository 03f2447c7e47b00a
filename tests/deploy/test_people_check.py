"""The people that `site check` counts are those that an experiment would read."""

import numpy as np
import pytest

from fedbrain.data.tables import write_table
from fedbrain.deploy.site_side.people_check import people
from tests.small_site import site_toml
from tests.tiny import write_tree

IDS = [f"sub-{i:02d}" for i in range(6)]
TARGETS = '[targets.sdmt]\ncolumn = "sdmt:score"\n'


@pytest.fixture
def kit(tmp_path):
    """Ages in sessions.tsv alone, scores in phenotype/, six people with an image."""
    root = write_tree(tmp_path / "tree", 6)
    (root / "participants.tsv").unlink()
    write_table(root / "phenotype/sdmt.tsv", ["participant_id", "score"], zip(IDS, range(40, 46)))
    for name, age in zip(IDS, np.linspace(20, 70, 6)):
        write_table(root / name / f"{name}_sessions.tsv", ["session_id", "age"], [("", age)])
    (tmp_path / "local").mkdir()
    text = site_toml("lyon", root).replace("[at_least]", f"{TARGETS}[at_least]")
    (tmp_path / "local/site.toml").write_text(text)
    return tmp_path


def test_tables_are_read_as_an_experiment_reads_them(kit):
    assert people(kit) == "6 people for age, 6 people for sdmt"


def test_people_without_an_image_do_not_count(kit):
    for name in IDS[1:]:
        (kit / f"tree/{name}/anat/{name}_T1w.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"at least 4 people .* age .* got 1\. Images found: 1"):
        people(kit)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"sdmt:score"', '"sdmt:scores"', "Did you mean 'phenotype/sdmt:score'"),
        ('column = "age"', 'column = "Alter"', "expected a column 'Alter' .* got: age, "),
    ],
)
def test_a_column_that_is_not_there_is_answered_with_the_nearest(kit, before, after, words):
    path = kit / "local/site.toml"
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(ValueError, match=words):
        people(kit)
