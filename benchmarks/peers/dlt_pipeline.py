"""dlt: a resource of batches, a parallelized transformer that asks for each, Parquet through the filesystem destination.

The shape is that of dlt's pages "Optimizing dlt" (pages instead of rows, `parallelized=True`, the built-in requests
wrapper, workers) and "Filesystem" (`bucket_url`, Parquet). dlt has no rate limit: a refused request is tried again by the
wrapper, with its backoff, through a `retry_condition`. The folder of the pipeline's state lies beside its output.

    python dlt_pipeline.py ADDRESS IDS.csv OUT
"""

import argparse
import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.helpers import requests

VIEW = "/v4/all_member_push/im_get_attr?sdkappid=1&identifier=a&usersig=s&random=1&contenttype=json"
WORKERS = 20


def refused(response: requests.Response | None, _: BaseException | None) -> bool:
    """The service says in the body that it did not serve the request."""
    return response is not None and response.json()["ErrorCode"] != 0


client = requests.Client(retry_condition=refused, request_max_attempts=10)


@dlt.resource
def batches(ids: Path) -> Iterator[list[str]]:
    """Pages of a hundred accounts."""
    with ids.open() as lines:
        accounts = (row["account_id"] for row in csv.DictReader(lines))
        while batch := list(islice(accounts, 100)):
            yield batch


@dlt.transformer(name="accounts", write_disposition="replace", parallelized=True)
def attributes(batch: list[str], address: str) -> list[dict[str, Any]]:
    """Ask for one page."""
    answer = client.post(address + VIEW, json={"To_Account": batch}).json()
    return [{"account_id": user["To_Account"], **user["Attrs"]} for user in answer["UserAttrs"]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("ids", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    dlt.config["extract.workers"] = dlt.config["extract.max_parallel_items"] = WORKERS
    pipeline = dlt.pipeline(
        "attributes",
        pipelines_dir=str(given.out / "pipelines"),
        destination=dlt.destinations.filesystem(bucket_url=str(given.out / "export")),
        dataset_name="chat",
    )
    pipeline.run(batches(given.ids) | attributes(address=given.address), loader_file_format="parquet")
