"""What is said, and to whom: the logger `exporter` hears warnings and news, the caller errors; neither ever a secret."""

import contextlib
import logging
from collections.abc import Iterator

from exporter.errors import ExporterError
from exporter.redaction import redacted

_LOG = logging.getLogger("exporter")
_LOG.addHandler(logging.NullHandler())  # whoever wants to hear it says so: nothing is printed by itself


def warn(sentence: str) -> None:
    """Say what may need a hand."""
    _LOG.warning("%s", redacted(sentence))


def tell(sentence: str) -> None:
    """Say what happened."""
    _LOG.info("%s", redacted(sentence))


@contextlib.contextmanager
def covered() -> Iterator[None]:
    """Let no error out that holds a secret: none does, and this is for the day on which one would."""
    try:
        yield
    except ExporterError as error:
        error.args = tuple(redacted(str(item)) for item in error.args)
        raise
