"""What a report says of the clients' updates."""

from fedbrain.analysis.figures import svg
from fedbrain.analysis.heterogeneity import MEASURES, heterogeneity_figure, heterogeneity_rows


def line(round, *, birch=1.0):
    """A round in which birch takes part, or not (0)."""
    values = {"amber": 0.1 * round, "birch": 9.0}
    return {
        "round": round,
        "steps": {"amber": 2.0, "birch": birch},
        "effective_rank": 1.0 + round,
        **dict.fromkeys(MEASURES, values),
    }


def test_rounds_without_a_client_do_not_count():
    header, amber, birch, everybody = heterogeneity_rows([line(1), line(2, birch=0.0), line(3)])
    assert header[2:] == ["cosine", "drift", "influence", "weight", "effective rank"]
    assert amber[:3] == ["amber", "3", "0.20 (0.10 to 0.30)"]
    assert birch[:3] == ["birch", "2", "9.00 (9.00 to 9.00)"]
    assert everybody == ["all", "3", "", "", "", "", "3.00 (2.00 to 4.00)"]


def test_one_client_has_no_others():
    assert heterogeneity_rows([{"round": 1, "cosine": {"all": 1.0}}]) == []


def test_the_figure_names_the_clients():
    drawn = svg(heterogeneity_figure([line(1), line(2)], title="split", synthetic=False))
    assert b"amber" in drawn
    assert b"birch" in drawn
