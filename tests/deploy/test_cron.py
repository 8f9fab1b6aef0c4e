"""The night by cron: its file and its script are taken as written, and run on the double."""

import re

import pytest

from tests.conftest import ROOT, Double, read_export
from tests.deploy.conftest import EXAMPLES, Place
from tests.deploy.nightly import PASSING, SCRIPT, exports, nights, numbers, refuse_lacking, settings

CRON = (EXAMPLES / "cron/exporter.cron").read_text()
LINE = CRON.splitlines()[-1].split(maxsplit=6)
SHELL = dict(re.findall(r"^(\w+)=(.*)$", CRON, re.MULTILINE))["SHELL"]
COMMAND = [SHELL, "-c", LINE[6]]
OUT_OF_REACH = ["http502:requests=1-1000000000"]


def night(site: Place, double: Double, **more: object) -> tuple[int, str]:
    """Run the command of the file as cron does; give how it ended and all that it said."""
    ran = site.run(COMMAND, settings(double, **more))
    return ran.code, ran.out + ran.err


def test_the_file_is_one_of_cron_d() -> None:
    """Five fields of time, a user, a command; and what a run needs."""
    assert all(re.fullmatch(r"[\d*/,-]+", field) for field in LINE[:5])
    assert LINE[5] == "exporter"
    refuse_lacking(CRON)


def test_a_good_night_has_a_folder_and_is_not_asked_for_twice(site: Place, double: Double) -> None:
    """The same command once more finds it complete."""
    assert night(site, double)[0] == 0
    (name,) = nights(site)
    assert re.fullmatch(r"dt=\d{4}-\d\d-\d\d", name)
    assert read_export(exports(site) / name).manifest["input"] == 300
    before = double.stats()["requests"]
    assert night(site, double, NIGHT=name.removeprefix("dt="))[0] == 0
    assert double.stats()["requests"] == before


def test_an_outage_is_tried_again_until_it_is_over(site: Place, double: Double) -> None:
    """75 once, then the service is back: the night is complete, in one folder."""
    double.control(outages=OUT_OF_REACH)
    process = site.start(COMMAND, settings(double, EXPORTER_OUTAGE_MAX="0.01", NIGHT="2026-01-31", WAIT_S=1))
    assert process.stderr
    while b"ended with 75; again" not in (said := process.stderr.readline()):
        assert said, process.wait()
    double.control(outages=[])
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert nights(site) == ["dt=2026-01-31"]
    assert read_export(exports(site) / "dt=2026-01-31").manifest["input"] == 300


def test_what_passes_is_tried_so_often_and_then_told(site: Place, double: Double) -> None:
    """Out of reach to the last try: 75, and how to go on."""
    double.control(outages=OUT_OF_REACH)
    code, said = night(site, double, EXPORTER_OUTAGE_MAX="0.01", TRIES=2, NIGHT="2026-01-31")
    assert code == 75
    assert said.count("ended with 75; again") == 1
    assert "NIGHT=2026-01-31 goes on" in said


def test_what_this_machine_fails_is_tried_again(site: Place, double: Double) -> None:
    """A folder that cannot be made: 5, as with a full disk, or another run at work."""
    exports(site).write_text("")
    code, said = night(site, double, TRIES=2)
    assert code == 5
    assert said.count("ended with 5; again") == 1


@pytest.mark.parametrize(
    ("code", "more"),
    [
        (2, {"EXPORTER_RATE": "plenty"}),
        (3, {"EXPORTER_MAX_REJECTS": "0"}),
        (4, {"EXPORTER_SECRET_KEY": "some other key"}),
    ],
)
def test_what_lasts_is_told_at_once(site: Place, double: Double, code: int, more: dict[str, str]) -> None:
    """Settings, rejects, a wrong key: one try, the exit code, and words that cron sends."""
    double.control(poison=["user_7"], poison_code=70399)
    ended, said = night(site, double, **more)
    assert ended == code
    assert "again in" not in said
    assert "is not tried again" in said


def test_a_night_is_gone_on_with_by_hand(site: Place, double: Double) -> None:
    """As the page has it: the user and the settings are those of the file."""
    page = (ROOT / "docs/how-to/nightly.md").read_text()
    (by_hand,) = re.findall(r"^runuser (?:.*\\\n)*.*$", page, re.MULTILINE)
    runuser = site.folder / "bin/runuser"
    runuser.write_text('#!/bin/sh\n[ "$1 $2 $3" = "-u exporter --" ] && shift 3 && exec "$@"\n')
    runuser.chmod(0o755)
    file = site.folder / "cron.d"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings(double).items()))
    site.words["/etc/cron.d/exporter"] = str(file)
    assert site.run([SHELL, "-c", by_hand], {}).code == 0
    assert nights(site) == ["dt=2026-01-31"]


def test_the_script_goes_by_the_table() -> None:
    """It tries again after what may pass, and after nothing else."""
    again = re.search(r"^\t([\d |]+)\) ;;", SCRIPT.read_text(), re.MULTILINE)
    assert again
    assert numbers(again[1]) == PASSING
