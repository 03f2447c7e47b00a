"""The fault suite: a sample of faults at every test run, every kind by hand (-m slow)."""

import shutil

import pytest

from tests.faults import machines, messages
from tests.faults.campaign import Campaign
from tests.faults.data import data_faults

SAMPLE = [
    "a flipped bit",
    "two sites of one name",
    "in another site's name",
    "ten thousand times too large",
    "question: a NaN",
    "question: of an earlier round",
    "a site dies in mid-epoch",
    "disk full",
    "the server dies in mid-save",
    "a site's private state rots",
]
EVERY = [
    *messages.FAULTS,
    *messages.QUESTIONS,
    *machines.FAULTS,
    *machines.AT_SERVER,
    *machines.ROT,
]
HARMLESS = {
    "late, after the others",
    "the server dies in mid-save",
    "the server dies before a checkpoint",
}


# Rounds enough to inject every kind: a run that is too short is an error.
@pytest.mark.parametrize(
    ("kinds", "rounds"),
    [
        pytest.param(SAMPLE, 8, id="a sample"),
        pytest.param(EVERY, len(EVERY) + 3, id="every kind", marks=pytest.mark.slow),
    ],
)
def test_no_fault_of_a_message_or_a_machine_changes_a_model(kinds, rounds, scans, tmp_path):
    done = Campaign(tmp_path, kinds, rounds=rounds, scans=scans).run()
    assert sorted(d.kind for d in done) == sorted(kinds)
    assert all(d.exact for d in done)
    assert {d.kind for d in done if not d.detected} <= HARMLESS | {
        "disk full"
    }  # a full disk that nobody wrote to


def test_a_site_refuses_what_its_data_and_its_consent_do_not_allow(hospitals, tmp_path):
    shutil.copytree(hospitals, tmp_path / "trees")
    done = data_faults(tmp_path, 15)
    assert len(done) == 15
    assert {d.kind for d in done if not d.detected} <= {
        "clock skew",
        "corrupt NIfTI: a bit of the compressed file",
    }
    assert all(d.exact for d in done)
