"""What was tried and how it ended: one failure hides no other, and the figures tell them all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Figures = dict[str, Any]


@dataclass
class Tried:
    """Counts tries, their ends in words, and those that failed; gives up after `failures_max` of them."""

    failures_max: int
    tries: int = 0
    failed: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def once(self, what: object) -> Iterator[None]:
        """Try one thing; an assertion that does not hold is kept."""
        self.tries += 1
        try:
            yield
        except AssertionError as error:
            self.failed.append(f"{what}: {error}")
            assert len(self.failed) < self.failures_max, "\n".join(self.failed)

    def figures(self, of: str, **more: object) -> Figures:
        """Tell how many of what were tried, how many failed, and how they ended. Fails when any did."""
        assert not self.failed, f"{len(self.failed)} of {self.tries} {of} failed:\n" + "\n".join(self.failed)
        return {of: self.tries, "failures": 0, **more, **dict(sorted(self.ends.items()))}
