"""How the page writes its figures, beside those that `figures` writes for all, and what the words of a manifest mean. Pure."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from exporter.figures import DAY_S, HOUR_S, MINUTE_S
from exporter.model import Reason

MEANINGS: Mapping[str, str] = {
    Reason.MISSING: "The service answered, and the account was not in its answer: it has never been imported, or has no attributes.",
    Reason.UNKNOWN_ACCOUNT: "The service says that it does not know the account.",
    Reason.INVALID_ID: "The id is empty, longer than 32 bytes, or has control characters: it was never asked for.",
    Reason.BAD_ROW: "The line of the input has no such field, or too many: it gives no account to ask for.",
    Reason.REFUSED: "Asked for alone, the account was still answered with an error code.",
    Reason.EXHAUSTED: "Asked for alone, the account still had no usable answer.",
}
NO_ANSWER = "no answer"
NOT_KNOWN = "A code that no public table names."


def figure(value: float) -> str:
    """Write a number to about four digits: 1,234, 98.25, 0.0012, 1.2e+30."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-4 <= abs(value) < 1e15:  # noqa: PLR2004 - beyond this nobody counts the zeros
        return f"{value:.4g}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def exact(value: object) -> str:
    """Write a value of a typed column in full."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, float):
        return figure(value) if abs(value) < 1e15 and value == round(value, 4) else repr(value)  # noqa: PLR2004 - as above
    return f"{value:,}" if isinstance(value, int) else str(value)


def share(part: float, whole: float) -> str:
    """Write a share: never 0% of something that is there, never 100% of what is not all."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if part and percent < 0.1:  # noqa: PLR2004 - the last digit that is shown
        return "<0.1%"
    if part < whole and percent > 99.9:  # noqa: PLR2004 - as above
        return ">99.9%"
    return f"{percent:.1f}%".replace(".0%", "%")


def brief(seconds: float) -> str:
    """Write a span of time for an axis: 0.5 s, 1:30 min, 2 h, 1 d 12 h."""
    if seconds < MINUTE_S:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < HOUR_S:
        return f"{whole // MINUTE_S}:{whole % MINUTE_S:02d} min" if whole % MINUTE_S else f"{whole // MINUTE_S} min"
    if whole < DAY_S:
        minutes = whole % HOUR_S // MINUTE_S
        return f"{whole // HOUR_S}:{minutes:02d} h" if minutes else f"{whole // HOUR_S} h"
    hours = whole % DAY_S // HOUR_S
    return f"{whole // DAY_S} d {hours} h" if hours else f"{whole // DAY_S} d"


def latency(seconds: float | None) -> str:
    """Write a latency."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1_000:.3g} ms"
    return f"{seconds:.3g} s"


def moment(value: datetime) -> str:
    """Write a moment in UTC, as short as it is exact."""
    text = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
    if value.microsecond:
        return f"{text}.{value.microsecond:06d}".rstrip("0")
    return text.removesuffix(" 00:00:00") if text.endswith(" 00:00:00") else text


def timestamp(text: str) -> str:
    """Write a time of the manifest to the second; what is no time stands as it is."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return text
