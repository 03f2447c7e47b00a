"""A newcomer's way from three BIDS trees to a model, and what is answered to wrong inputs."""

import re
import shutil

import pytest

from fedbrain.cli.commands import COMMANDS
from tests.newcomer import broken, mine, trees
from tests.newcomer.journey import STEPS
from tests.newcomer.wrong import WRONG
from tests.programs import run_program

pytestmark = pytest.mark.usefixtures("shared_programs", "no_figures")


def fedbrain(folder, words):
    """`fedbrain WORDS`, in a folder."""
    first, *rest = words.split() if isinstance(words, str) else words
    if first not in COMMANDS:
        return run_program("fedbrain.__main__", first, *rest, folder=folder)
    return run_program(COMMANDS[first].module, *rest, folder=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of one's own: the trees, and a configuration."""
    folder = tmp_path_factory.mktemp("newcomer")
    trees.write_trees(folder / "data")
    shutil.copy(mine.__file__, folder / "mine.py")
    return folder


@pytest.fixture(scope="module")
def journey(folder):
    """What every step printed."""
    return {step: fedbrain(folder, words) for step, (words, _) in STEPS.items()}


@pytest.fixture(scope="module")
def faulty(folder, journey):
    """The same folder, with what is broken."""
    broken.write_all(folder)
    return folder


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_journey(journey, step):
    done = journey[step]
    assert done.returncode == 0, done.stderr
    assert STEPS[step][1] in done.stdout


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_input_is_answered_in_one_sentence(faulty, case):
    words, code, texts = WRONG[case]
    done = fedbrain(faulty, words)
    assert done.returncode == code, done.stderr
    [sentence] = done.stderr.splitlines()
    assert re.match(r"fedbrain: .*[.?)]( Help: .*-h)?$", sentence), sentence
    for text in texts:
        assert text in sentence


def test_nothing_is_written_by_what_is_refused(faulty):
    """After all of the table: no work directory, no table, no model."""
    assert not {"mine", "masked"} & {path.name for path in (faulty / "runs").iterdir()}
    assert not [*faulty.glob("out.tsv"), *faulty.glob("model*"), *faulty.glob("runs/nothing/*")]


def test_a_tree_under_two_names_is_warned_of(faulty):
    sites = ["--site", "a=broken/good", "--site", "b=broken/good"]
    done = fedbrain(faulty, ["check", "mine.py", *sites])
    assert done.returncode == 0, done.stderr
    assert "a: images that another site has too: 12 of 12 scans" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_printed(folder, command):
    done = fedbrain(folder, [command, "-h"])
    assert (done.returncode, done.stderr) == (0, "")
