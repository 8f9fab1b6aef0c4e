"""`exporter check`: two calls that tell whether key, administrator, region, feature and attribute names are right."""

import asyncio

from exporter.cli.console import show_words
from exporter.redaction import hide
from exporter.settings import Settings


def check(settings: Settings) -> int:
    """Ask the service twice and say in words what is right and what to mend. Writes nothing."""
    from exporter.app import check_service

    for sentence in asyncio.run(check_service(settings, hide=hide)):
        show_words(sentence)
    return 0
