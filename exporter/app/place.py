"""Where an export may lie: in a folder of this machine that is its own, beside nothing that somebody else works with.

So no output folder holds the working directory: an export would be spread over somebody's files. What is an export
already, or an unfinished run, may be named from within; and so may an empty folder. And none lies within an input folder:
a run would read what it wrote.
"""

import os
import re
from pathlib import Path

from exporter.app.job import Job
from exporter.errors import SettingsError
from exporter.output import folder, manifest, publish
from exporter.output.facts import FOLDERS
from exporter.source import Source


def refuse_no_folder(job: Job) -> None:
    """Refuse an output folder that is no folder of this machine, holds where we work, or lies within an input folder."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(job.out)):  # what a path makes of s3://…
        raise SettingsError(
            f"--out {job.out} is no folder of this machine: name a folder that is to hold the export, and copy it from"
            " there once it is complete."
        )
    _refuse_shared(job.out, _current())
    read = [_real(given) for given in job.inputs if os.path.isdir(given)]  # noqa: PTH112 - see `_real`
    _refuse_own_output(job, own=any(_real(job.out).is_relative_to(given) for given in read))


def refuse_own_files(job: Job, source: Source) -> None:
    """Refuse input files that this run would replace."""
    files = [_real(file.path) for file in source.files if file.path]
    written = [_real(job.out) / name for name in (*FOLDERS, folder.RUN)]
    _refuse_own_output(job, own=any(file.is_relative_to(place) for file in files for place in written))


def _refuse_shared(out: Path, current: Path) -> None:
    """Refuse an output folder that is, or holds, the current one, unless it is an export's own already."""
    if current.is_relative_to(_real(out)) and not _is_its_own(out):
        raise SettingsError(
            f"--out {out} must name a folder of its own for the export, such as --out export: it holds the current folder."
        )


def _current() -> Path:
    """Return the current folder; one that was removed lies nowhere, yet `/` would hold it."""
    try:
        return _real(os.getcwd())  # noqa: PTH109 - links are followed anyway
    except FileNotFoundError:
        return Path("/")


def _is_its_own(out: Path) -> bool:
    """Tell whether a folder holds an export, an unfinished run, or nothing at all."""
    try:
        empty = {*os.listdir(out)} <= {folder.LOCK, folder.RUN}  # noqa: PTH208 - names are enough
    except OSError:  # not to be looked at, so not one of ours
        return False
    return empty or os.path.lexists(out / folder.RUN / publish.JOURNAL) or manifest.is_ours(out)


def _real(path: str | Path) -> Path:
    """Follow links. Not as `Path` does it, which raises where nobody may look, and at links that lead in a circle."""
    try:
        return Path(os.path.realpath(path))
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: the current folder was removed. Change into another one, or give the whole path."
        ) from None


def _refuse_own_output(job: Job, *, own: bool) -> None:
    if own:
        raise SettingsError(
            f"{job.out} is part of the input. Choose another --out, so that no run reads what it wrote."
        )
