"""The night by systemd: its units are taken as written, and the service's command is run on the double."""

import re
import shlex
import signal

import pytest

from exporter.cli.exits import SIGNAL_CODES
from tests.conftest import Double, read_export, tool
from tests.deploy.conftest import EXAMPLES, Place, clean
from tests.deploy.nightly import (
    DRAINED_S,
    LASTING,
    PASSING,
    STOPPED,
    exports,
    nights,
    numbers,
    refuse_lacking,
    settings,
)

UNITS = EXAMPLES / "systemd"
SERVICE = (UNITS / "exporter.service").read_text()
FAILED = (UNITS / "exporter-failed.service").read_text()
NOT_INSTALLED = {126, 127}
"""What a shell ends with that finds no command, or may not run it."""


def every(name: str, unit: str = SERVICE) -> list[str]:
    """The values that a unit gives a name, lines that go on put together."""
    found = re.findall(rf"^{name}=((?:.*\\\n)*.*)$", unit, re.MULTILINE)
    return [str(value).replace("\\\n", " ") for value in found]


def the(name: str, unit: str = SERVICE) -> str:
    (value,) = every(name, unit)
    return value


def command(unit: str) -> list[str]:
    """What a unit starts, as systemd reads it."""
    return shlex.split(the("ExecStart", unit).replace("%%", "%").replace("$$", "$"))


def test_systemd_takes_the_units() -> None:
    """Not one word to say about any of them."""
    assert clean(tool("systemd-analyze"), "verify", "--man=no", *sorted(UNITS.iterdir())) == ""


def test_the_service_is_hardened() -> None:
    """By the figure of `systemd-analyze security`, at most 1.5: 0 is all closed, 10 all open."""
    clean(tool("systemd-analyze"), "security", "--offline=true", "--threshold=15", UNITS / "exporter.service")


def test_the_service_has_what_a_run_needs() -> None:
    """The app, and the key by way of a credential that it is shown."""
    refuse_lacking("\n".join(every("Environment")))
    credential = the("LoadCredential").partition(":")[0]
    assert f"EXPORTER_SECRET_KEY_FILE=%d/{credential}" in every("Environment")


def test_the_service_goes_by_the_table() -> None:
    """What lasts is not started again; all else is, and somebody is told when that was not enough."""
    assert the("Restart") == "on-failure"
    assert numbers(the("RestartPreventExitStatus")) == LASTING | NOT_INSTALLED
    assert set(re.findall("[A-Z]+", the("RestartPreventExitStatus"))) == {"USER", "CREDENTIALS"}
    assert every("SuccessExitStatus") == []
    assert (UNITS / the("OnFailure")).exists()


@pytest.mark.parametrize("code", [*map(str, sorted(PASSING | LASTING | STOPPED)), "KILL"])
def test_word_is_of_the_exit_code_but_not_of_a_stop(place: Place, code: str) -> None:
    """`systemctl stop` ends a run with 143, which makes it failed for systemd; whoever did that knows."""
    logger = place.folder / "bin/logger"
    logger.write_text('#!/bin/sh\necho "$*"\n')
    logger.chmod(0o755)
    ran = place.run(command(FAILED), {"MONITOR_EXIT_STATUS": code})
    assert (ran.code, ran.err) == (0, "")
    assert (f"failed (exit {code}):" in ran.out) is (code != str(SIGNAL_CODES[signal.SIGTERM]))


def test_the_log_names_the_command_and_not_its_shell() -> None:
    """The word of a failure goes by the same name."""
    assert the("SyslogIdentifier") == "exporter"
    assert "--tag exporter " in the("ExecStart", FAILED)


def test_a_stop_has_the_time_it_takes() -> None:
    """The signal is the one that drains, and the kill comes after it has."""
    assert the("KillSignal") == signal.SIGTERM.name
    assert numbers(the("TimeoutStopSec")).pop() > DRAINED_S


def test_the_command_runs_and_keeps_its_night(site: Place, double: Double) -> None:
    """A second start finds the night that the first wrote down, whatever the date is by then."""
    runtime = site.folder / "run"
    runtime.mkdir()
    folders = {"RUNTIME_DIRECTORY": runtime, "STATE_DIRECTORY": exports(site)}
    start = command(SERVICE)
    assert site.run(start, settings(double, **folders)).code == 0
    assert nights(site) == [f"dt={(runtime / 'night').read_text().strip()}"]
    assert re.fullmatch(r"dt=\d{4}-\d\d-\d\d", nights(site)[0])
    (runtime / "night").write_text("2026-01-31\n")
    assert site.run(start, settings(double, **folders)).code == 0
    assert nights(site)[0] == "dt=2026-01-31"
    assert read_export(exports(site) / "dt=2026-01-31").manifest["input"] == 300
