"""What patience decides, said when it happens: the learning rate falls, training stops early."""

from collections.abc import Iterator

from fedbrain.training.selection import Patience, Selection, should_stop


def events(
    before: Selection, after: Selection, patience: Patience, *, round: int, rounds: int
) -> Iterator[str]:
    """A sentence each.

    Args:
      before: the round.
      after: the round.
      patience: of the experiment.
      round: its number.
      rounds: at most.

    >>> from fedbrain.training.selection import observe, start
    >>> patience = Patience(stop=1)
    >>> best = observe(start(), 7.0, round=1, patience=patience)
    >>> stale = observe(best, 8.0, round=2, patience=patience)
    >>> list(events(best, stale, patience, round=2, rounds=9))
    ['Stops early after round 2 of 9: no better validation loss than 7.00 of round 1.']
    """
    scale = float(after.learning_rate_scale)
    loss, of_round = float(after.best_loss), int(after.best_round)
    best = f"no better validation loss than {loss:.2f} of round {of_round}"
    if of_round < 1:
        best = "no finite validation loss yet"
    if scale < float(before.learning_rate_scale):
        yield f"Round {round}: {best}: the learning rate falls to {scale:.3g} of the first one."
    if round < rounds and should_stop(after, patience):
        yield f"Stops early after round {round} of {rounds}: {best}."
