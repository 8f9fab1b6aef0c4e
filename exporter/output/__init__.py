"""What a run leaves behind: durable files, Parquet shards, the journal, the manifest, and publishing."""
