"""What a verification found: each finding a sentence that names the file, counted all, kept up to a bound."""

from collections.abc import Sequence
from dataclasses import dataclass

FINDINGS_MAX = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as the manifest says, and the check that saw it (a key of CHECKS)."""

    check: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """How an export compares with its manifest: as it says when there is no finding.

    `found` counts all findings; `findings` holds the first FINDINGS_MAX of them. `files`, `rows` (of data), `rejects` and
    `bytes` count what could be read to its end. `unfinished` tells that another run lies beside the export.
    """

    findings: Sequence[Finding]
    found: int
    files: int
    rows: int
    rejects: int
    bytes: int
    unfinished: bool

    @property
    def ok(self) -> bool:
        """Whether everything is as the manifest says."""
        return not self.found
