"""Mistakes in a configuration file and in its flags: one sentence each."""

import pytest

from fedbrain.experiments.catalogue import locate
from fedbrain.experiments.config_file import require_readable

OWN = """
from fedbrain.configs import base
def get_config():
    c = base.get_config()
    """
QUICK = "configs/quickstart.py"


def require(file, kind="experiment", *arguments):
    require_readable(locate(str(file)), kind, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.py"], "got none at 'none.py'"),
        (["configs"], "got a folder at 'configs'"),
        (["quickstrat"], "Did you mean quickstart"),
        (["elsewhere/quickstart.py"], "one of that name: write quickstart"),
        (["configs/paper_synthetic.py"], "Run fedbrain grid configs/paper_synthetic.py"),
        (["paper_synthetic"], "Run fedbrain grid paper_synthetic"),
        (["aggregation_study", "grid"], "Run fedbrain compare"),
        ([QUICK, "study"], "Run fedbrain train"),
        ([QUICK, "experiment", "--config.foo=1"], "no such field. Choose from: algorithm"),
        ([QUICK, "experiment", "--config.round=1"], r"mean config\.rounds\?"),
        ([QUICK, "experiment", "--config.batch_size=1"], r"config\.client\.batch_size"),
        ([QUICK, "experiment", "--config.sites.c=bids('x')"], r"--site c=FOLDER, or config\."),
    ],
)
def test_a_mistake_is_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        require(*arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(:\n", "wrong.py, line 1: invalid syntax"),
        ("import nothing_of_that_name\n", "wrong.py: ModuleNotFoundError"),
        ("x = 1\n", r"wrong.py: expected a function get_config\(\) in it, got none\."),
        (f"{OWN}c.roundz = 2\n    return c\n", r"config\.roundz: .* Did you mean config\.rounds\?"),
        (f"{OWN}c.client.lr = 2\n    return c\n", r"config\.client\.lr: there is no such field"),
        (f"{OWN}c.sites.bern = 'b'\n    del c.rounds\n    return c\n", r"a field config\.rounds"),
        (f"{OWN}c.rounds = 2.5\n    return c\n", r"'rounds'.* 2\.5 .*\.$"),
        ("def get_config():\n    pass\n", r"get_config\(\) to return a ConfigDict, got None"),
    ],
)
def test_a_file_that_python_cannot_read(tmp_path, text, message):
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        require(tmp_path / "wrong.py")


def test_what_is_right_passes():
    require(QUICK, "experiment", "--config.client.epochs=2", "--config.regimes[0]=local")
    require("quickstart")


def test_the_module_of_configurations_has_another_name(tmp_path):
    (tmp_path / "old.py").write_text("from configs.nothing import base\n")
    with pytest.raises(ValueError, match=r"old.py: ModuleNotFoundError"):
        require(tmp_path / "old.py")
