"""Verifying: every claim of a manifest held against the files, check by check. Reads alone, and changes nothing."""

import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.errors import MachineError, OutputError
from exporter.verify import accounts, sums
from exporter.verify.claims import DATA, LISTS, NAME, REJECTS, RUN, SUCCESS, Claims, fingerprint_off, read_claims
from exporter.verify.content import Content, read
from exporter.verify.looks import looks
from exporter.verify.report import FINDINGS_MAX, Finding, Report
from exporter.verify.schemas import schemas


@dataclass(slots=True)
class Export:
    """An export, what its manifest claims, and what stands in those of its files that could be read, by name."""

    out: Path
    claims: Claims
    contents: dict[str, Content] = field(default_factory=dict)

    @property
    def shelf(self) -> accounts.Shelf:
        """Its accounts."""
        rows = {file: content.rows for file, content in self.contents.items()}
        return accounts.Shelf(self.out, self.claims.shards, rows)


def verify(out: Path) -> Report:
    """Hold a complete export against its manifest.

    Raises OutputError when no complete export lies there or it was replaced meanwhile, MachineError when the folder
    cannot be read. Everything else that is wrong is a finding.
    """
    before = _marks(out)
    claims, wrong = read_claims(out)
    export = Export(out, claims)
    found, kept = 0, list[Finding]()
    for finding in (Finding("manifest", text) for text in wrong) if wrong else _found(export):
        found += 1
        if len(kept) < FINDINGS_MAX:
            kept.append(finding)
    if _marks(out) != before:
        raise OutputError(f"{out} was replaced while it was read. Verify it again.")
    return _report(export, kept, found)


def _found(export: Export) -> Iterator[Finding]:
    for name, check in CHECKS.items():
        for text in check(export):
            yield Finding(name, text)


def _marks(out: Path) -> list[tuple[int, ...]]:
    """Tell one export in this folder from the next. Raises OutputError when no complete one lies there, MachineError."""
    try:
        if not stat.S_ISREG((out / SUCCESS).lstat().st_mode):
            raise OutputError(f"{out / SUCCESS} is no regular file, so it is not of an export. Name another folder.")
        paths = [path for path in (out / SUCCESS, out / NAME) if path.exists()]
        return [(facts.st_ino, facts.st_size, facts.st_mtime_ns) for facts in (path.lstat() for path in paths)]
    except (FileNotFoundError, NotADirectoryError):
        raise OutputError(
            f"{out} holds no complete export: {SUCCESS} is not there. `exporter status {out}` tells how far it is;"
            " the command that began it goes on with it."
        ) from None
    except OSError as error:
        raise MachineError(
            f"{out}: {(error.strerror or str(error)).lower()}. Run as the owner of the folder."
        ) from error


def _report(export: Export, findings: list[Finding], found: int) -> Report:
    files = [(folder, claim) for shard in export.claims.shards for folder, claim in shard.files.items()]
    read = [(folder, claim, export.contents[claim.file]) for folder, claim in files if claim.file in export.contents]
    return Report(
        findings=findings,
        found=found,
        files=len(read),
        rows=sum(content.rows for folder, _, content in read if folder == DATA),
        rejects=sum(content.rows for folder, _, content in read if folder == REJECTS),
        bytes=sum(claim.bytes for _, claim, _ in read),
        unfinished=(export.out / RUN).exists(),
    )


def _strangers(export: Export) -> Iterator[str]:
    """Readers take whole folders, so nothing else may stand there."""
    for folder in LISTS:
        path = export.out / folder
        claimed = {shard.files[folder].file for shard in export.claims.shards}
        try:
            if not stat.S_ISDIR(path.lstat().st_mode):
                yield f"{folder} is no folder."
                continue
            names = sorted(f"{folder}/{entry.name}" for entry in path.iterdir())
        except FileNotFoundError:  # its files are missing then, and that is told
            continue
        except OSError as error:
            yield f"{folder} cannot be read: {error.strerror or error}."
            continue
        yield from (f"{name!r} is not in the manifest." for name in names if name not in claimed)


def _contents(export: Export) -> Iterator[str]:
    columns = export.claims.told["schema"]
    wanted, look = schemas(columns), looks(columns)
    for shard in export.claims.shards:
        for folder, claim in shard.files.items():
            content = yield from read(export.out, claim, wanted[folder], look[folder])
            if content:
                export.contents[claim.file] = content


CHECKS: Mapping[str, Callable[[Export], Iterator[str]]] = {
    "fingerprint": lambda export: fingerprint_off(export.claims),
    "ranges": lambda export: sums.ranges(export.claims),
    "accounting": lambda export: sums.accounting(export.claims),
    "totals": lambda export: sums.totals(export.claims),
    "folders": _strangers,
    "files": _contents,
    "counts": lambda export: sums.counts(export.claims, export.contents),
    "outer spaces": lambda export: sums.outer_spaces(export.claims, export.contents),
    "accounts": lambda export: accounts.misplaced(export.shelf, export.claims.told["settings"]["duplicates"]),
}
"""What is checked, in this order: the later ones build on what the files were found to hold."""
