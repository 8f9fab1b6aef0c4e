"""The input: account ids out of CSV and Parquet, each with its row, in memory that no file can stretch."""

from exporter.source.files import InputFile, fingerprint
from exporter.source.reader import Source, open_source
from exporter.source.reading import Reading
from exporter.source.tally import Tally

__all__ = ["InputFile", "Reading", "Source", "Tally", "fingerprint", "open_source"]
