"""What tests of deployment share: the command `exporter` by its name, and files of docker/ and docs/ run as written."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Ran, assert_no_secret, environment, write_ids

DOCKER = ROOT / "docker"
EXAMPLES = ROOT / "docs/examples"


def clean(*command: str | Path) -> str:
    """Run a checker that has to find nothing wrong; give what it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def loaded(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


@dataclass
class Place:
    """A machine that knows `exporter` and `python` by name, and on which some words mean others."""

    folder: Path
    words: dict[str, str]

    def said(self, text: str) -> str:
        """Put the words of this machine into a text."""
        words = "|".join(re.escape(word) for word in sorted(self.words, key=len, reverse=True))
        return re.sub(words, lambda found: self.words[found[0]], text) if words else text

    def start(self, command: Sequence[str], env: Mapping[str, object]) -> "subprocess.Popen[bytes]":
        """Start a command that a file gives, with the environment that it gives."""
        given = {name: self.said(str(value)) for name, value in env.items()}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [self.said(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=environment(**{**given, "PATH": path}),
            cwd=self.folder,
        )

    def run(self, command: Sequence[str], env: Mapping[str, object]) -> Ran:
        """Run a command to its end; it shows no traceback and no secret."""
        process = self.start(command, env)
        out, err = process.communicate(timeout=60)
        assert_no_secret(out + err, "the output")
        assert b"Traceback" not in err, err
        return Ran(process.returncode, out.decode(), err.decode())

    def succeeds(self, command: Sequence[str], env: Mapping[str, object]) -> bool:
        """Run a command of others to its end, whatever it says."""
        process = self.start(command, env)
        process.communicate(timeout=60)
        return process.returncode == 0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a machine with the command `exporter`."""
    (tmp_path / "bin").mkdir()
    for name, arguments in (("exporter", "-m exporter "), ("python", "")):
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        path.chmod(0o755)
    return Place(tmp_path, {})


@pytest.fixture
def site(place: Place) -> Place:
    """Give a machine with the nightly script in its place and 300 accounts to export."""
    shutil.copy(EXAMPLES / "cron/nightly.sh", place.folder / "bin/exporter-nightly")
    write_ids(place.folder / "ids.csv", [f"user_{number}" for number in range(300)])
    here = str(place.folder)
    place.words = {"/srv/exporter": here, "/data": here, "/export/": f"{here}/exports/", "9464": "0"}
    return place
