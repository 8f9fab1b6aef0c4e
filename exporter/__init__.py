"""Export the attributes of every account of a Tencent Chat app to Parquet."""

__version__ = "0.1.0"
