"""
How many functions get lines of their own in the metrics: a server of metrics keeps every label that
it has ever seen, so their number has a bound. The rest are summed up under one name.
"""

from typing import Final

MOST_FUNCTIONS: Final = 500
OTHERS: Final = "_others"


class FunctionLabels:
    """First come, first named; a name is free again when its function is gone."""

    def __init__(self, most: int = MOST_FUNCTIONS) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, function: str) -> str:
        """*function* itself, or ``_others`` once there are too many."""
        if function in self._known:
            return function
        if len(self._known) >= self._most:
            return OTHERS
        self._known.add(function)
        return function

    def keep_only(self, functions: set[str]) -> set[str]:
        """Those that were named and are no more."""
        gone = self._known - functions
        self._known -= gone
        return gone
