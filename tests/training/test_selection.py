"""Best round, plateau and early stopping on a hand-made history."""

import numpy as np

from fedbrain.training.selection import Patience, observe, should_stop, start


def _follow(losses, patience):
    selection, scales = start(), []
    for round, loss in enumerate(losses, start=1):
        if should_stop(selection, patience):
            break
        selection = observe(selection, loss, round=round, patience=patience)
        scales.append(float(selection.learning_rate_scale))
    return selection, scales


def test_best_round_plateau_and_stop():
    patience = Patience(stop=5, plateau=2, factor=0.5)
    selection, scales = _follow([9.0, 5.0, 6.0, 7.0, 8.0, 6.0, 5.5, 1.0], patience)
    assert (int(selection.best_round), float(selection.best_loss)) == (2, 5.0)
    assert scales == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]  # stopped before the 8th round


def test_zero_patience_never_acts_and_nan_is_never_best():
    selection, scales = _follow([np.nan, 4.0, np.nan, 5.0], Patience())
    assert int(selection.best_round) == 2
    assert scales == [1, 1, 1, 1]


def test_fields_are_arrays_that_a_checkpoint_keeps():
    for selection in (start(), _follow([3.0, 4.0], Patience(1, 1))[0]):
        assert all(isinstance(x, np.ndarray) for x in selection)
        assert [x.dtype.kind for x in selection] == ["f", "i", "i", "i", "f"]
