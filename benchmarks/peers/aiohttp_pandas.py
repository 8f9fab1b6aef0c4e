"""The script: aiohttp, a semaphore and gather; a list of dicts; pandas writes Parquet.

The shape is the one that aiohttp's "Client Quickstart" (one session, `async with session.post`), asyncio's documentation
(`Semaphore`, `gather`), aiolimiter's (`async with limiter`) and pandas' "DataFrame.to_parquet" lead to.

    python aiohttp_pandas.py ADDRESS IDS.csv OUT [--rate 100]
"""

import argparse
import asyncio
from pathlib import Path

import aiohttp
import pandas as pd
from aiolimiter import AsyncLimiter

VIEW = "/v4/all_member_push/im_get_attr?sdkappid=1&identifier=a&usersig=s&random=1&contenttype=json"


async def fetch(session: aiohttp.ClientSession, limiter: AsyncLimiter, accounts: list[str]) -> list[dict[str, str]]:
    """Ask until the service answers."""
    while True:
        async with limiter, session.post(VIEW, json={"To_Account": accounts}) as response:
            answer = await response.json()
        if answer["ErrorCode"] == 0:
            return [{"account_id": user["To_Account"], **user["Attrs"]} for user in answer["UserAttrs"]]
        await asyncio.sleep(1)


async def fetch_all(address: str, ids: list[str], rate: float) -> list[dict[str, str]]:
    """Ask for all, a hundred in one request, a hundred requests at once."""
    semaphore, limiter = asyncio.Semaphore(100), AsyncLimiter(rate, 1)
    async with aiohttp.ClientSession(address) as session:

        async def one(accounts: list[str]) -> list[dict[str, str]]:
            async with semaphore:
                return await fetch(session, limiter, accounts)

        answers = await asyncio.gather(*(one(ids[first : first + 100]) for first in range(0, len(ids), 100)))
    return [row for rows in answers for row in rows]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("ids", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rate", type=float, default=1e6)
    given = parser.parse_args()
    ids = pd.read_csv(given.ids, dtype=str)["account_id"].tolist()
    rows = asyncio.run(fetch_all(given.address, ids, given.rate))
    given.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(given.out / "accounts.parquet", index=False)
