"""What a job that could not go on would meet at its next start: the same refusal, a person who has
still to decide, sites that were only away, or nobody knows.
"""

from enum import StrEnum


class Outlook(StrEnum):
    """What a site that refuses says of the next time."""

    FINAL = "final"  # it would refuse the same job again
    WAITS = "waits"  # until a person at the site has approved the job
    UNKNOWN = "unknown"


class Awaited(ValueError):
    """A run stands still only because sites are not there or wait for a person."""


def read_outlook(value: object) -> Outlook:
    """What a site says of the next time; what is none of the known words is `UNKNOWN`.

    Args:
      value: from the site's answer.

    >>> read_outlook("final"), read_outlook(7)
    (<Outlook.FINAL: 'final'>, <Outlook.UNKNOWN: 'unknown'>)
    """
    try:
        return Outlook(str(value))
    except ValueError:
        return Outlook.UNKNOWN
