"""Whether so many failures are allowed: the one decision behind exit code 3 and TooManyRejects."""

from exporter.figures import count
from exporter.settings import Settings

REJECTS = "see rejects/ for each of them and why"


def excess(failures: int, rows: int, settings: Settings, *, where: str = REJECTS) -> str | None:
    """Say that of these `rows` of the input more failed than `max_rejects` allows, and `where` they are told; else None."""
    allowed = settings.max_rejects.of(rows)
    if failures <= allowed:
        return None
    return f"Complete, but {count(failures, 'account')} failed and --max-rejects allows {allowed:,.0f}: {where}."
