"""`exporter demo`: the whole job on the built-in double, with nothing to set up."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from exporter.cli.console import say
from exporter.cli.run import carry_out, concluded
from exporter.errors import MachineError
from exporter.settings import only


def demo(
    folder: Annotated[Path, typer.Option(help="Where to put the ids and the export.", metavar="FOLDER")] = Path(
        "exporter-demo"
    ),
    people: Annotated[int, typer.Option(help="How many accounts.", min=1, metavar="NUMBER")] = 50_000,
    rate: Annotated[float, typer.Option(help="Requests a second.", metavar="NUMBER")] = 100.0,
) -> int:
    """Make a CSV of people, start the double, export them through it at its quota, and show how to read the result."""
    from exporter.output.files import on_disk
    from exporter.simulator.config import Config
    from exporter.simulator.people import generate_ids

    ids = folder / "ids.csv"
    with on_disk(ids):
        folder.mkdir(parents=True, exist_ok=True)
        ids.write_text("account_id\n" + "".join(f"{account}\n" for account in generate_ids(people)), encoding="utf-8")
    say(f"{people:,} people in {ids}; the double accepts 100 requests in any rolling second.")
    config = Config()
    with _double(config.secret_key) as address:
        settings = only(
            base_url=address,
            sdkappid=config.sdkappid,
            identifier=config.identifier,
            secret_key=config.secret_key,
            rate=rate,
            overwrite=True,
            restart=True,
        )
        outcome = carry_out([str(ids)], folder / "export", settings)
    return concluded(outcome, folder / "export", settings)


@contextlib.contextmanager
def _double(key: str) -> Iterator[str]:
    """Run the double as a process of its own; give its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", "simulate", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "EXPORTER_SECRET_KEY": key},
        text=True,
    )
    try:
        words = process.stdout.readline().split() if process.stdout else []
        address = next((word for word in words if word.startswith("http://")), None)
        if address is None:
            raise MachineError("the double did not start. Try `exporter simulate` by itself to see why.")
        yield address
    finally:
        process.terminate()
        process.communicate()
