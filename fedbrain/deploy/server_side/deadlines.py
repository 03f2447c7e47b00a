"""How long to wait for an answer: a multiple of what answers took so far."""

from collections.abc import Mapping

FACTOR = 4  # times the slowest of the last answers
LEAST_S = 60


class Pace:
    """Deadlines by kind of answer, within one process. The first answers compile, so the first
    deadlines are the longest.

    Args:
      most_s: no deadline is longer, and the first two of a kind are as long.
    """

    def __init__(self, most_s: int):
        self.most_s = most_s
        self.times: dict[str, list[float]] = {}

    def deadline_s(self, kind: str) -> int:
        """Seconds to wait for the next answers of a kind.

        Args:
          kind: of the answer.
        """
        times = self.times.get(kind, [])
        if len(times) < 2:
            return self.most_s
        return min(self.most_s, max(LEAST_S, round(FACTOR * max(times[-5:]))))

    def took(self, kind: str, seconds: float) -> None:
        """Records when the last of a round's answers came; not for a round in which one did not.

        Args:
          kind: of the answer.
          seconds: from the question to the last answer.
        """
        self.times.setdefault(kind, []).append(seconds)

    def seconds(self) -> Mapping[str, float]:
        """What the last answers of each kind took."""
        return {kind: round(times[-1], 1) for kind, times in self.times.items()}
