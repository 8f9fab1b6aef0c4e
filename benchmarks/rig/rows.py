"""Do the rows of an output answer for the ids that were asked? In a process of its own, so that reading costs the others nothing.

python -m rig.rows IDS.csv PART.parquet…        prints JSON: accounts without a row, rows that are one too many
"""

import json
import sys
from collections import Counter
from pathlib import Path

from pyarrow import parquet


def compare(ids: Path, parts: list[str]) -> dict[str, int]:
    """Hold the column account_id of all parts against the ids."""
    asked = set(ids.read_text().splitlines()[1:])
    rows = Counter(row for part in parts for row in parquet.read_table(part)["account_id"].to_pylist())
    return {"lost": len(asked - rows.keys()), "too_many": rows.total() - len(asked & rows.keys())}


if __name__ == "__main__":
    print(json.dumps(compare(Path(sys.argv[1]), sys.argv[2:])))
