"""Export the attributes of every account of a Tencent Chat app to Parquet.

From Python: `export` and `await aexport` do what `exporter run` does, `stream` hands out the same rows as Arrow record
batches. They, what they return and what they raise are loaded when they are first used: importing this costs nothing.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Export",
    "ExporterError",
    "InputError",
    "MachineError",
    "OutputError",
    "Reject",
    "ServiceRefusal",
    "ServiceUnreachable",
    "SettingsError",
    "Snapshot",
    "Stream",
    "TooManyRejects",
    "Totals",
    "__version__",
    "aexport",
    "export",
    "stream",
]

if TYPE_CHECKING:
    from exporter.errors import (
        ExporterError,
        InputError,
        MachineError,
        OutputError,
        ServiceRefusal,
        ServiceUnreachable,
        SettingsError,
        TooManyRejects,
    )
    from exporter.library.calls import aexport, export, stream
    from exporter.library.result import Export, Reject, Snapshot, Totals
    from exporter.library.streaming import Stream
else:
    _HOMES = {
        "exporter.library.calls": ("aexport", "export", "stream"),
        "exporter.library.result": ("Export", "Reject", "Snapshot", "Totals"),
        "exporter.library.streaming": ("Stream",),
        "exporter.errors": tuple(name for name in __all__ if name.endswith(("Error", "Refusal", "able", "Rejects"))),
    }

    def __getattr__(name: str) -> object:
        """Load a public name when it is first asked for."""
        from importlib import import_module

        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(home), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
