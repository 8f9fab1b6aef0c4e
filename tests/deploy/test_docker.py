"""The image, the compose file and what Prometheus reads; an image is not built here: that takes root and minutes."""

import re
import socket
import sys
import time
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator.config import Config
from tests.conftest import ROOT, read_export, tool
from tests.deploy.conftest import DOCKER, Place, clean, loaded

DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE = loaded(DOCKER / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
INSTRUCTIONS = re.findall(r"^([A-Z]+) ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)


def the_last(name: str) -> str:
    return str([text for instruction, text in INSTRUCTIONS if instruction == name][-1])


def test_the_linter_has_nothing_to_say() -> None:
    """Not one rule is broken, and none is ignored."""
    assert clean(Path(sys.executable).with_name("hadolint"), DOCKER / "Dockerfile") == ""
    assert "hadolint ignore" not in DOCKERFILE


def test_nothing_gets_in_without_a_hash() -> None:
    """Each install is of locked wheels, or of what lies in the image already."""
    installs = re.findall(r"pip .*(?:install|wheel) .*", DOCKERFILE.replace("pip uninstall", ""))
    assert len(installs) == 4
    for line in installs:
        assert "--require-hashes --only-binary :all:" in line or "--no-index --no-deps" in line, line


def test_the_source_that_is_handed_out_has_what_the_image_is_made_of() -> None:
    """Who unpacks it can build the image, and begin as the README does."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    copied = [
        name for kind, text in INSTRUCTIONS if kind == "COPY" and "--from" not in text for name in text.split()[:-1]
    ]
    assert len(copied) > 4
    always = {"pyproject.toml"}
    for name in {*copied, "Makefile"} - always:
        assert any(fnmatch(f"/{name}", pattern) for pattern in build["include"]), name


def test_the_image_runs_as_nobody_and_hears_its_signal() -> None:
    """A numeric user, so that a cluster can tell it is not root; no shell between the signal and the run."""
    assert the_last("USER") == "10001:10001"
    assert the_last("ENTRYPOINT") == '["exporter"]'
    assert the_last("STOPSIGNAL") == "SIGTERM"
    assert the_last("VOLUME") == the_last("WORKDIR") == "/export"


def test_the_context_holds_what_is_copied_and_no_more() -> None:
    """Everything is kept out of it but the sources of each COPY."""
    copied = {
        word for name, text in INSTRUCTIONS if name == "COPY" and "--from" not in text for word in text.split()[:-1]
    }
    rules = [line for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_service_has_no_more_rights_than_it_needs(name: str) -> None:
    """A read-only root, no capability, and no way to get one."""
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


def test_the_image_is_built_once_and_never_fetched() -> None:
    """Builds of one name at the same time get in each other's way, and nobody else's `exporter` is taken for ours."""
    ours = [service for service in SERVICES.values() if service["image"] == "exporter"]
    assert len(ours) == 3
    assert [service["build"]["dockerfile"] for service in ours if "build" in service] == ["docker/Dockerfile"]
    assert {service["pull_policy"] for service in ours} == {"never"}


def test_each_command_of_the_compose_file_runs_as_written(place: Place) -> None:
    """The double becomes healthy, the ids are written, the run exports them: only ports, folders and sizes are ours."""
    place.words = {
        "/export": str(place.folder / "export"),
        "/run/secrets/exporter-key": str(DOCKER / "double.key"),
        "8080": str(free_port()),
        "9464": "0",
        "1000000": "3000",
    }
    (place.folder / "export").mkdir()
    quiet = {"EXPORTER_SECRET_KEY": ""}
    double = place.start(["exporter", *SERVICES["double"]["command"]], quiet)
    try:
        check = SERVICES["double"]["healthcheck"]["test"]
        assert check[0] == "CMD"
        until = time.monotonic() + 30
        while not place.succeeds(check[1:], quiet):
            assert double.poll() is None
            assert time.monotonic() < until, "the double did not become healthy"
            time.sleep(0.1)
        assert place.run(SERVICES["ids"]["entrypoint"], quiet).code == 0
        run = SERVICES["exporter"]
        ran = place.run(["exporter", *run["command"]], run["environment"] | quiet)
    finally:
        double.terminate()
        double.communicate()
    assert ran.code == 0, ran.err
    assert read_export(place.folder / "export/million").manifest["input"] == 3000


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_the_services_find_each_other() -> None:
    """The run lives in the double's network, asks it at its port, and is scraped there; its key is the double's."""
    run = SERVICES["exporter"]
    scraped = loaded(DOCKER / "prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"]
    command = run["command"]
    assert run["network_mode"] == "service:double"
    assert scraped == [f"double:{command[command.index('--metrics-port') + 1]}"]
    assert run["environment"]["EXPORTER_BASE_URL"].endswith(":" + SERVICES["double"]["command"][-1])
    assert set(run["depends_on"]) == {"double", "ids"}
    key = DOCKER / COMPOSE["secrets"]["exporter-key"]["file"]
    assert key.read_text().strip() == Config().secret_key


def test_prometheus_takes_its_configuration_and_rules() -> None:
    """The rules are part of the configuration, and both are mounted."""
    said = clean(tool("promtool"), "check", "config", DOCKER / "prometheus.yml")
    assert "6 rules found" in said
    mounted = [volume.split(":")[0] for volume in SERVICES["prometheus"]["volumes"]]
    assert {"./prometheus.yml", "./alerts.yml"} <= set(mounted)


def test_the_alerts_fire_when_they_should() -> None:
    """Rows of metrics that stand for good and bad nights, and which alerts there are."""
    clean(tool("promtool"), "test", "rules", ROOT / "tests/deploy/alerts_test.yml")
