"""The floor: aiohttp posts the same bodies on the same event loop, and throws the answers away.

python -m rig.bare ADDRESS IDS.csv --in-flight 400
"""

import argparse
import asyncio
import json
from itertools import islice
from pathlib import Path

import aiohttp


async def ask(address: str, ids: Path, in_flight: int) -> None:
    """Ask for all ids, a hundred a request."""
    url = f"{address}/v4/all_member_push/im_get_attr?sdkappid=1&identifier=a&usersig=s&random=1&contenttype=json"
    connector = aiohttp.TCPConnector(limit=in_flight)
    with ids.open() as lines:
        next(lines)
        batches = iter(lambda: [line.rstrip("\n") for line in islice(lines, 100)], [])
        async with aiohttp.ClientSession(connector=connector) as session:

            async def worker() -> None:
                for accounts in batches:
                    async with session.post(url, data=json.dumps({"To_Account": accounts})) as response:
                        await response.read()

            await asyncio.gather(*(worker() for _ in range(in_flight)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("ids", type=Path)
    parser.add_argument("--in-flight", type=int, default=400)
    given = parser.parse_args()
    asyncio.run(ask(given.address, given.ids, given.in_flight))
