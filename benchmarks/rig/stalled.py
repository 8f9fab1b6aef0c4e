"""The command line, whose event loop tells its longest turns: `python -m rig.stalled FILE run …`.

Whatever a turn waits for counts, be it a thread that holds the interpreter; from the first answer on, for before it nobody
waits. FILE holds the longest so far, in seconds.
"""

import asyncio
import sys
import time
from pathlib import Path

from exporter.__main__ import main as command

if __name__ == "__main__":
    FILE = Path(sys.argv.pop(1))
    run_handle, longest = asyncio.Handle._run, list[float]()  # noqa: SLF001 - where the loop makes each call

    def timed(handle: asyncio.Handle) -> None:
        """Run a call of the loop, and tell when none took longer."""
        began = time.perf_counter()
        run_handle(handle)
        took = time.perf_counter() - began
        if not longest and getattr(handle._callback, "__name__", "") == "_read_ready":  # noqa: SLF001 - what came in
            longest.append(0.0)
        if longest and took > longest[0]:
            longest[0] = took
            FILE.write_text(str(took))

    asyncio.Handle._run = timed  # type: ignore[method-assign]  # noqa: SLF001 - the only way to see each of them
    command()
