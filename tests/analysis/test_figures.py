"""Figures of runs in which not everybody took part."""

from fedbrain.analysis.figures import losses


def _line(round, *clients):
    by_client = dict.fromkeys(clients, 2.0)
    losses = {"train_loss": by_client, "valid_loss_by_client": by_client, "valid_loss": 2.0}
    return {"round": round, "best_round": 0, **losses}


def test_losses_are_drawn_where_a_client_is_missing_or_comes_later(tmp_path):
    for k, history in enumerate(
        (
            [_line(1, "amber", "birch"), _line(2, "amber"), _line(3, "amber", "birch")],
            [_line(1, "amber"), _line(2, "amber", "birch")],
        )
    ):
        losses(tmp_path / f"{k}.png", history, title="losses", synthetic=True)
        assert (tmp_path / f"{k}.png").stat().st_size > 1000
