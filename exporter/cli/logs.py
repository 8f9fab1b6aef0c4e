"""Standard error for log collectors: one JSON object a line, with time (UTC), level, message, run id and the facts it is about."""

import logging
from typing import Any

import orjson
import structlog

ORDER = ("time", "level", "message", "run_id")


class JsonLines:
    """Writes sentences as lines of JSON; what was bound stands in each of them from then on."""

    def __init__(self) -> None:
        self._logger: Any = structlog.wrap_logger(
            structlog.ReturnLogger(),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(serializer=_dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        )

    def __call__(self, sentence: str, level: str, facts: dict[str, object]) -> str:
        """Write a sentence of a level, with its facts."""
        text = sentence.encode("utf-8", "backslashreplace").decode()  # a path need not be text
        return str(getattr(self._logger, level)(text, **facts))

    def bind(self, **facts: object) -> None:
        """Put facts beside every sentence from now on."""
        self._logger = self._logger.bind(**facts)


def _dumps(event: dict[str, object], **_options: object) -> str:
    first = {name: event.pop(name) for name in ORDER if name in event}
    return orjson.dumps({**first, **event}, default=str).decode()
