"""Scrapy: a spider posts the batches, a feed export keeps the items as JSON lines, Arrow turns the feed into Parquet.

The shape is that of Scrapy's pages "Common Practices" (run Scrapy from a script), "Feed exports", "Jobs: pausing and
resuming crawls" (`JOBDIR`), "AutoThrottle extension" and "Downloader Middleware" (`get_retry_request` in a callback).
Scrapy has no Parquet feed. At a rate, the delay between requests is 1 / rate; AutoThrottle never goes below it.

    python scrapy_spider.py ADDRESS IDS.csv OUT [--rate 100 [--autothrottle]] [--jobdir OUT/job]
"""

import argparse
import csv
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.json
import pyarrow.parquet
import scrapy
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.http import JsonRequest, JsonResponse

VIEW = "/v4/all_member_push/im_get_attr?sdkappid=1&identifier=a&usersig=s&random=1&contenttype=json"


class AttributesSpider(scrapy.Spider):
    """Posts a hundred accounts at a time."""

    name = "attributes"
    address: str
    ids: Path

    async def start(self) -> AsyncIterator[JsonRequest]:
        """One request a batch."""
        with self.ids.open() as lines:
            accounts = (row["account_id"] for row in csv.DictReader(lines))
            while batch := list(islice(accounts, 100)):
                yield JsonRequest(self.address + VIEW, data={"To_Account": batch})

    def parse(self, response: JsonResponse) -> Iterator[Any]:
        """One item an account; a refused request again."""
        answer = response.json()
        if answer["ErrorCode"]:
            yield get_retry_request(response.request, spider=self, reason=answer["ErrorInfo"])
            return
        for user in answer["UserAttrs"]:
            yield {"account_id": user["To_Account"], **user["Attrs"]}


def settings(given: argparse.Namespace) -> dict[str, Any]:
    """What the documentation says to set for many requests to one host."""
    return {
        "FEEDS": {given.out / "accounts.jsonl": {"format": "jsonlines", "encoding": "utf8"}},
        "CONCURRENT_REQUESTS": 100,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 100,
        "DOWNLOAD_DELAY": 1 / given.rate if given.rate else 0,
        "AUTOTHROTTLE_ENABLED": given.autothrottle,
        "AUTOTHROTTLE_TARGET_CONCURRENCY": 100,
        "RETRY_TIMES": 10,
        "JOBDIR": given.jobdir,
        "LOG_LEVEL": "INFO",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("ids", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--autothrottle", action="store_true")
    parser.add_argument("--jobdir")
    given = parser.parse_args()
    process = AsyncCrawlerProcess(settings(given))
    process.crawl(AttributesSpider, address=given.address, ids=given.ids)
    process.start()
    items = pyarrow.json.read_json(given.out / "accounts.jsonl")
    pyarrow.parquet.write_table(items, given.out / "accounts.parquet")
