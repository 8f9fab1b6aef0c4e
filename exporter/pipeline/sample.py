"""The first thousand accounts tell whether they are those of this app at all."""

from exporter.errors import ServiceRefusal
from exporter.model import ANSWERS, Batch, Reply

SAMPLE_ACCOUNTS = 1000  # enough to see that an app or a column is the wrong one


class KnownCheck:
    """Stop a run whose first thousand accounts are mostly unknown to the service: wrong app, or wrong column.

    `known` and `absent` count the accounts that an earlier start of the run had answers for: they are of the sample.
    """

    def __init__(self, absent_share_max: float | None, *, known: int = 0, absent: int = 0) -> None:
        self._absent_share_max = absent_share_max
        self._left = SAMPLE_ACCOUNTS - known - absent
        self._sample: set[tuple[int, int]] = set()
        self._known = known
        self._absent = absent
        if self._left <= 0:
            judge_absent(absent, known + absent, None)

    def start(self, batch: Batch) -> None:
        """Take note of a batch that is about to be asked; the first of them are the sample."""
        if self._left > 0:
            self._left -= len(batch.accounts)
            self._sample.add((batch.shard, batch.seq))

    def reply(self, batch: Batch, reply: Reply) -> None:
        """Judge once the sample is complete. Raises ServiceRefusal."""
        if (batch.shard, batch.seq) not in self._sample:
            return
        self._sample.remove((batch.shard, batch.seq))
        self._known += len(reply.found)
        self._absent += sum(rejection.reason in ANSWERS for rejection in reply.rejected.values())
        if self._left <= 0 and not self._sample:
            judge_absent(self._absent, self._known + self._absent, self._absent_share_max)


def judge_absent(absent: int, answered: int, share_max: float | None) -> None:
    """Raise ServiceRefusal when more than a share of the answered accounts (None: all of them) is unknown."""
    if answered and (absent == answered if share_max is None else absent > answered * share_max):
        raise ServiceRefusal(
            f"the service knows {answered - absent:,} of {answered:,} accounts. Check that --sdkappid and --region are"
            " those of the app whose ids these are, and that --column names the account ids; else raise --max-missing."
        )
