"""Which export this is: a fingerprint of everything that shapes its bytes, so that two runs are never mixed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
import pyarrow as pa

from exporter import __version__
from exporter.errors import OutputError
from exporter.output.manifest import FORMAT

STREAM: Mapping[str, object] = {"stream": True}
"""Stands for an input whose size and content are not known yet: standard input, before it was read, and a pipe."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Inputs (size, hash of head and tail; never a time or a name), settings that shape output, and versions."""

    inputs: Sequence[Mapping[str, object]]
    settings: Mapping[str, object]

    @property
    def parts(self) -> dict[str, object]:
        """Everything the fingerprint is made of, as plain data."""
        versions = {"exporter": __version__, "format": FORMAT, "pyarrow": pa.__version__}
        return {"inputs": [dict(item) for item in self.inputs], "settings": dict(self.settings), "versions": versions}

    @property
    def fingerprint(self) -> str:
        """A hex digest of the parts."""
        return hashlib.sha256(orjson.dumps(self.parts, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def refuse_other(self, parts: object, found: str, flag: str) -> None:
        """Raise OutputError, naming the first difference, unless `parts` are those of this export."""
        if difference := self.difference(parts):
            raise OutputError(f"{found}: {difference}. Choose another --out, or give {flag} to begin anew.")

    def difference(self, parts: object) -> str | None:
        """Name the first difference between `parts` and those of this export."""
        return _difference(parts, self.parts)


def _difference(old: object, new: Mapping[str, object]) -> str | None:
    if not isinstance(old, dict):
        return "its fingerprint cannot be read"
    was, now = old.get("inputs"), new["inputs"]
    if not isinstance(was, list) or not isinstance(now, list) or len(was) != len(now):
        return "the number of input files differs"
    for place, (before, after) in enumerate(zip(was, now, strict=True)):
        if before != after:
            stream = STREAM in (before, after)
            return f"input {place + 1} {'is a stream in one of both' if stream else 'has other content'}"
    for group in ("settings", "versions"):
        before, after = old.get(group), new[group]
        if not isinstance(before, dict) or not isinstance(after, dict):
            return "its fingerprint cannot be read"
        for name in (*after, *(before.keys() - after)):
            if before.get(name) != after.get(name):
                return f"{name} was {_written(before.get(name))}, now it is {_written(after.get(name))}"
    return None


def _written(value: object) -> str:
    """Write a setting as a flag or a settings file has it, not as Python has."""
    match value:
        case None:
            return "not given"
        case list() | tuple() | Mapping() if not value:
            return "not given"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return ",".join(map(str, value))
        case Mapping():
            return ",".join(f"{name}={each}" for name, each in value.items())
        case _:
            return repr(value)
