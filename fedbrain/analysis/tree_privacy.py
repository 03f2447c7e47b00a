"""How much one client moves all nodes of a binary tree over rounds together.

The nodes of the tree are C X: a row of C has a 1 for every round of its node, and X has a row for
what the client adds to each round, of norm 1 at most. Entries of C are not negative, so that

    max_X ||C X||_F = ||C u||        u: 1 for the rounds in which the client takes part, else 0

is exact: the client is worst when it adds the same vector every time. A node is then told with as
many terms of the client as it has rounds with it. With noise of s in every node the tree is
||C u|| / s-GDP, whatever the clients do in answer to the models that they see.

References:
  Denisov et al. (2022), https://arxiv.org/abs/2202.08312
  Choquette-Choo et al. (2023), https://arxiv.org/abs/2211.06530
  Both from memory.
"""

import math
from collections.abc import Iterator


def nodes(rounds: int, restart_every: int) -> Iterator[tuple[int, int]]:
    """(first, last) round, from 1, of every node that a sum of the first t rounds is made of.

    The sum takes the largest node that fits, then the largest that fits behind it: these are the
    nodes with an even number of nodes of their height before them.

    Args:
      rounds: of the training.
      restart_every: rounds of a tree, after which a new one begins.

    >>> list(nodes(4, restart_every=4)), list(nodes(2, restart_every=1))
    ([(1, 1), (3, 3), (1, 2), (1, 4)], [(1, 1), (2, 2)])
    """
    for start in range(0, rounds, restart_every):
        size, length = 1, min(restart_every, rounds - start)
        while size <= length:
            for first in range(0, length - size + 1, 2 * size):
                yield start + first + 1, start + first + size
            size *= 2


def tree_sensitivity(rounds: int, *, restart_every: int, turns: int = 1) -> float:
    """max ||C u||, in clipping norms, over clients that take part in every `turns`-th round.

    Args:
      rounds: of the training.
      restart_every: rounds of a tree, after which a new one begins.
      turns: rounds from one turn of a client to the next; 1: every client in every round.

    >>> round(tree_sensitivity(4, restart_every=4) ** 2, 9)  # 1 + 1 + 2^2 + 4^2
    22.0
    >>> round(tree_sensitivity(4, restart_every=4, turns=4) ** 2, 9)  # in one round: three nodes
    3.0
    >>> tree_sensitivity(4, restart_every=1)
    2.0
    """
    if rounds < 1 or restart_every < 1 or turns < 1:
        raise ValueError(
            f"Expected rounds, restart_every and turns >= 1, got {(rounds, restart_every, turns)}."
        )
    spans = list(nodes(rounds, restart_every))

    def squared(offset: int) -> int:  # takes part in rounds offset + 1, offset + 1 + turns, ...
        return sum(
            ((last - offset + turns - 1) // turns - (first - 1 - offset + turns - 1) // turns) ** 2
            for first, last in spans
        )

    return math.sqrt(max(squared(offset) for offset in range(min(turns, rounds))))
