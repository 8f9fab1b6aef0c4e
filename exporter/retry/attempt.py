"""One attempt, and what came of it: an answer, or a failure, which is data here and no longer an exception."""

from collections.abc import Sequence

from exporter.errors import AttemptError, Verdict
from exporter.model import Fetch, Reply


async def attempt(fetch: Fetch, accounts: Sequence[str]) -> Reply | AttemptError:
    """Ask once. An answer that settles no account at all is a failure."""
    try:
        reply = await fetch(accounts)
    except AttemptError as error:
        return error
    return _all_failed(reply) or reply


def _all_failed(reply: Reply) -> AttemptError | None:
    if not reply.again or reply.found or reply.rejected:
        return None
    first = next(iter(reply.again.values()))
    return AttemptError(first.message or "the service gave no answer", verdict=Verdict.RETRY, code=first.code)
