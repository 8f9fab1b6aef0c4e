"""The quotas of this process: one for each app that it asks, as long as a job does or a token is in use.

Another process knows nothing of them. A forked one begins with all of them spent, and shares nothing from then on.
"""

import os
import threading
import time
from collections.abc import Callable, Hashable

from exporter.limiter.quota import Quota, Share


class Quotas:
    """Whoever joins the quota of the same `app` shares it; from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._quotas: dict[Hashable, Quota] = {}
        os.register_at_fork(after_in_child=self._begin_as_child)

    def join(self, app: Hashable, rate: float) -> Share:
        """Take a job in, and forget the quotas that nobody needs any more."""
        with self._lock:
            self._quotas = {each: quota for each, quota in self._quotas.items() if not quota.is_idle()}
            return self._quotas.setdefault(app, Quota(self._clock)).join(rate)

    def _begin_as_child(self) -> None:
        """Begin anew: threads that are no more may have held any lock."""
        self._lock = threading.Lock()
        self._quotas = {app: quota.of_child() for app, quota in self._quotas.items()}


QUOTAS = Quotas()
