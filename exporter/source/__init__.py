"""The input: account ids out of CSV and Parquet, each with its row, in memory that no file can stretch."""

from exporter.source.files import InputFile, fingerprint
from exporter.source.given import chunks_of, refuse_no_ids
from exporter.source.reader import Source, open_source
from exporter.source.reading import Reading
from exporter.source.standard_input import StandardInput

__all__ = [
    "InputFile",
    "Reading",
    "Source",
    "StandardInput",
    "chunks_of",
    "fingerprint",
    "open_source",
    "refuse_no_ids",
]
