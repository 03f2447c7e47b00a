"""What the runbook starts is what its example of a site takes: every job that the page or a unit of
`launch/hospital` submits, with the settings that it shows. Nothing is started.
"""

import re
import shlex

import pytest
from ml_collections import ConfigDict

from fedbrain.deploy.protocol.runnable import require_runnable
from fedbrain.deploy.protocol.study import UNKNOWN
from fedbrain.deploy.site_side.policy import consent, read_policy
from fedbrain.experiments.grid import cells
from tests.test_documented_commands import commands, module_of, parse
from tests.test_launch import HOSPITAL, ROOT

RUN, GRID = "fedbrain.deploy.server", "fedbrain.deploy.hospital_grid"
# absl's
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
VARIABLES = {"SITES": "brussels,greifswald,prague", "ROWS_TARGET": "sdmt"}


def _of_unit(path):
    """`ExecStart` of a unit, with what its first lines say that the file of variables holds."""
    text = path.read_text()
    start = re.sub(r"\\\n\s*", "", text).split("ExecStart=", 1)[1].splitlines()[0]
    told = dict(re.findall(r"(\w+)=(\S+)", text.split("# reads", 1)[1].splitlines()[0]))
    for name, value in {"%i": "name", **{f"${{{k}}}": v for k, v in told.items()}}.items():
        start = start.replace(name, value)
    return start.split("-m ", 1)[1]


def _submitted():
    """(where, command) of everything that submits jobs."""
    page = [("README.md", c) for c in commands(HOSPITAL / "README.md")]
    page = [(where, c) for where, c in page if " --target=" in c]
    return page + [(p.name, _of_unit(p)) for p in sorted(HOSPITAL.glob("*@.service"))]


@pytest.fixture
def policy(tmp_path):
    """The example, with the target of the second stage opened."""
    text = (HOSPITAL / "site.toml").read_text()
    text = text.replace("# [targets.sdmt]\n# column", "[targets.sdmt]\ncolumn")
    (tmp_path / "site.toml").write_text(text)
    return read_policy(tmp_path / "site.toml")


def test_there_are_jobs():
    assert len(_submitted()) == 4


@pytest.mark.parametrize(("where", "command"), _submitted())
def test_the_example_of_a_site_takes_the_jobs_of_the_runbook(where, command, policy, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = module_of(shlex.split(command))
    assert words[0] in (RUN, GRID), where
    config = parse(words, monkeypatch)
    flags = dict(word.lstrip("-").split("=", 1) for word in words if word.startswith("--"))
    assert flags["sites"].split(",") == VARIABLES["SITES"].split(",")
    assert config is not None
    jobs = [(config, flags["target"])]
    if words[0] == GRID:
        targets = {True: flags["target"], False: flags["rows_target"]}
        jobs = [(c.config, targets[c.needs is None and c.row == "first"]) for c in _cells(config)]
    assert policy.targets.keys() >= {target for _, target in jobs}
    for one, target in jobs:
        fields = {k: v for k, v in one.to_dict().items() if k not in ("sites", "cache")}
        if not fields["initial"].startswith("random"):  # the lead's command finds its hash
            fields["initial"] = f"sent({UNKNOWN!r}, run={UNKNOWN!r}, head=False)"
        require_runnable(fields)
        assert "bids(" in consent(policy, fields, target)


def _cells(config: ConfigDict):
    return list(cells(config, ROOT / "nowhere"))
