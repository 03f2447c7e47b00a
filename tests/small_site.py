"""A `site.toml` for synthetic sites of a few people, which lowers every floor in the open."""

from pathlib import Path

TOML = """name = "{name}"
approval = false
minimum_subjects = {subjects}
minimum_validation_subjects = 1
minimum_test_subjects = {tested}
minimum_class_subjects = 1
validation_digits = 0
pooled_sums = true
[data]
root = "{root}"
[targets.age]
column = "age"
[at_least]
"client.batch_size" = 2
"local_steps" = 1
"people_in_a_step" = 1
[at_most]
"client.batch_size" = 8
{more}"""


def site_toml(name: str, root: Path, *, subjects: int = 3, tested: int = 1, more: str = "") -> str:
    """The text of the file; `more` is appended."""
    return TOML.format(name=name, root=root, subjects=subjects, tested=tested, more=more)
