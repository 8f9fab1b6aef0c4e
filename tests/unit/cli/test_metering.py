"""Where the metrics of a command go, while it lasts."""

import asyncio
import os
import time
from pathlib import Path

from exporter.app import Job
from exporter.cli.metering import metered
from exporter.progress import Progress
from exporter.settings import only


async def test_the_text_file_is_renewed_while_a_command_lasts(tmp_path: Path) -> None:
    """Again and again, at a tick: whoever reads it sees how far the run is; and it is replaced, never written over."""
    path = tmp_path / "exporter.prom"
    progress = Progress(time.monotonic)
    job = Job(["ids.csv"], tmp_path / "out", only(metrics_textfile=str(path), sdkappid=1), progress)
    with metered(job) as meter:
        before = path.open()
        async with meter.renewed(0.001):
            for _ in range(3):
                progress.started()
                async with asyncio.timeout(30):
                    while (  # noqa: ASYNC110 - no event tells what a reader of the file sees
                        f'exporter_requests_total{{sdkappid="1"}} {progress.requests:.1f}\n' not in path.read_text()
                    ):
                        await asyncio.sleep(0.001)
        with before:
            assert 'exporter_requests_total{sdkappid="1"} 0.0\n' in before.read()
    assert os.listdir(tmp_path) == ["exporter.prom"]  # noqa: PTH208 - names are enough
