"""The night by systemd: its units are taken as written, and the service's command is run on the double."""

import re
import shlex
import signal

from tests.conftest import Double, read_export, tool
from tests.deploy.conftest import EXAMPLES, Place, clean
from tests.deploy.nightly import DRAINED_S, LASTING, exports, nights, numbers, refuse_lacking, settings

UNITS = EXAMPLES / "systemd"
SERVICE = (UNITS / "exporter.service").read_text()


def every(name: str) -> list[str]:
    """The values that the service gives a name, lines that go on put together."""
    found = re.findall(rf"^{name}=((?:.*\\\n)*.*)$", SERVICE, re.MULTILINE)
    return [str(value).replace("\\\n", " ") for value in found]


def the(name: str) -> str:
    (value,) = every(name)
    return value


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
    assert numbers(the("RestartPreventExitStatus")) == LASTING
    assert every("SuccessExitStatus") == []
    assert (UNITS / the("OnFailure")).exists()


def test_a_stop_has_the_time_it_takes() -> None:
    """The signal is the one that drains, and the kill comes after it has."""
    assert the("KillSignal") == signal.SIGTERM.name
    assert numbers(the("TimeoutStopSec")).pop() > DRAINED_S


def test_the_command_runs_and_keeps_its_night(site: Place, double: Double) -> None:
    """A second start finds the night that the first wrote down, whatever the date is by then."""
    runtime = site.folder / "run"
    runtime.mkdir()
    folders = {"RUNTIME_DIRECTORY": runtime, "STATE_DIRECTORY": exports(site)}
    command = shlex.split(the("ExecStart").replace("%%", "%").replace("$$", "$"))
    assert site.run(command, settings(double, **folders)).code == 0
    assert nights(site) == [f"dt={(runtime / 'night').read_text().strip()}"]
    assert re.fullmatch(r"dt=\d{4}-\d\d-\d\d", nights(site)[0])
    (runtime / "night").write_text("2026-01-31\n")
    assert site.run(command, settings(double, **folders)).code == 0
    assert nights(site)[0] == "dt=2026-01-31"
    assert read_export(exports(site) / "dt=2026-01-31").manifest["input"] == 300
