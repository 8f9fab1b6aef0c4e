"""How figures are written for people, on every way out: numbers of things, sizes and spans of time. Pure."""

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
_UNIT_MAX = 999.95
"""From here on a figure of one decimal would read 1,000.0."""


def count(number: float, noun: str = "", nouns: str = "") -> str:
    """Write a number with its commas, and what it counts: 1 file, 2 files, 3 retries."""
    words = f" {noun if number == 1 else nouns or f'{noun}s'}" if noun else ""
    return f"{number:,}{words}"


def times(number: int) -> str:
    """Write how often something happened: once, 2 times."""
    return "once" if number == 1 else f"{number:,} times"


def size(number: float) -> str:
    """Write a number of bytes."""
    if number < _UNIT_MAX:
        return count(round(number), "byte")
    for unit in ("kB", "MB", "GB"):
        number /= 1_000
        if number < _UNIT_MAX:
            return f"{number:,.1f} {unit}"
    return f"{number / 1_000:,.1f} TB"


def duration(seconds: float) -> str:
    """Write a span of time: 4.2 s, 3 min 05 s, 2 h 10 min, 3 d 4 h."""
    if round(seconds, 1) < MINUTE_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S:02d} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S:02d} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"
