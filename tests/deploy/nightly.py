"""What tests of the nightly examples share: which exit codes pass by themselves and which last, and a site to run on."""

import re
from pathlib import Path

from exporter.cli.exits import BUG, EXIT_CODES, SIGNAL_CODES, TOO_MANY_REJECTS
from exporter.errors import MachineError, ServiceUnreachable
from tests.conftest import APP, Double
from tests.deploy.conftest import EXAMPLES, Place

PASSING = {EXIT_CODES[MachineError], EXIT_CODES[ServiceUnreachable]}
"""What the same command may mend, later."""
LASTING = {BUG, TOO_MANY_REJECTS, *EXIT_CODES.values()} - PASSING
"""What somebody has to mend."""
STOPPED = set(SIGNAL_CODES.values())
DRAINED_S = 10
"""A stopped run is over by then."""
SCRIPT = EXAMPLES / "cron/nightly.sh"


def settings(double: Double, **more: object) -> dict[str, object]:
    """Give what the examples set, but for the address of the service."""
    given = {f"EXPORTER_{name.upper()}": value for name, value in APP.items()}
    return {**given, "EXPORTER_BASE_URL": double.address, "WAIT_S": 0, **more}


def exports(site: Place) -> Path:
    """Where the nights lie."""
    return site.folder / "exports"


def nights(site: Place) -> list[str]:
    """The folders of all nights."""
    return sorted(path.name for path in exports(site).iterdir())


def numbers(text: str) -> set[int]:
    """All numbers that stand in a text."""
    return set(map(int, re.findall(r"\d+", text)))


def refuse_lacking(lines: str) -> None:
    """Hold the settings of an example, NAME=VALUE on each line, against what a run needs: the key is a file's."""
    given = dict(re.findall(r"^(EXPORTER_\w+)=(.+)$", lines, re.MULTILINE))
    assert set(given) == {f"EXPORTER_{name}" for name in ("REGION", "SDKAPPID", "IDENTIFIER", "SECRET_KEY_FILE")}
