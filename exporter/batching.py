"""Rows in, numbered batches out: judges each id, drops what was asked before in its shard, and accounts for every row.

Pure: the same rows give the same batches, whatever the chunks they come in, and wherever the reading began.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeGuard, cast

from exporter.errors import InputError
from exporter.model import BadId, Batch, Chunk, Mark, Reason

BATCH_ACCOUNTS_MAX = 100  # im_get_attr takes at most 100 accounts a request (Getting User Attributes)
ID_BYTES_MAX = 32  # a UserID has at most 32 bytes of UTF-8 (Importing a Single Account)
SHOWN_CHARS_MAX = 256  # of a bad id, in the rejects


@dataclass(slots=True)
class Shard:
    """What a fixed range of input rows holds beside its batches; complete once the last of its rows was read.

    Rows count from 1 over the whole input. `spans` tell which file a row comes from: (first row here, file, row there).
    `repeats` holds (row, account) of accounts that stand again in this shard, only when duplicates are kept. `ends` is
    where the next shard begins, and `share` how much of the input lies before that (see Chunk), both None when unknown.
    """

    number: int
    first_row: int
    last_row: int = 0
    batches: int = 0
    blank: int = 0
    duplicates: int = 0
    spaced: int = 0
    bad: list[tuple[int, BadId]] = field(default_factory=list)
    repeats: list[tuple[int, str]] = field(default_factory=list)
    spans: list[tuple[int, str, int]] = field(default_factory=list)
    ids_hash: str = ""
    ends: Mark | None = None
    share: float | None = None

    @property
    def rows(self) -> int:
        """Input rows of this shard."""
        return self.last_row - self.first_row + 1

    def place(self, row: int) -> tuple[str, int]:
        """Return the file in which an input row stands, and its row there."""
        first, source, source_row = self.spans[bisect_right(self.spans, row, key=lambda span: span[0]) - 1]
        return source, source_row + row - first


def problem(text: str) -> str | None:
    """Say why a text cannot be an account id, or None. Never judges by charset: only size and control characters."""
    if not text:
        return "empty"
    size = len(text.encode())
    if size > ID_BYTES_MAX:
        return f"{size:,} bytes; an account id has at most {ID_BYTES_MAX}"
    if any(char < " " or "\x7f" <= char <= "\x9f" for char in text):
        return "holds a control character"
    return None


class Planner:
    """Cut chunks of rows into shards and batches.

    `add` and `finish` return, in input order, the batches that became full and each shard right after its last batch.
    The rows begin with shard `first`, before which lies a `share` of the input. Of a shard that is `done` (number -> its
    ids_hash) nothing is returned: its rows are only held against the hash. Both raise InputError when they are not the
    rows that were read before, or not all of them.
    """

    def __init__(  # noqa: PLR0913 - one decision each
        self,
        *,
        shard_rows: int,
        batch_accounts: int = BATCH_ACCOUNTS_MAX,
        strip: bool = False,
        keep: bool = False,
        first: int = 0,
        done: Mapping[int, str] | None = None,
        share: float | None = 0.0,
    ) -> None:
        self._shard_rows = shard_rows
        self._batch_accounts = batch_accounts
        self._strip = strip
        self._keep = keep
        self._done = done or {}
        self._done_up_to = max(self._done, default=-1)
        self._row = first * shard_rows
        self._share = share
        self._open(first)

    @property
    def recognised(self) -> bool:
        """Whether all rows that were read before have come again."""
        return self._shard.number > self._done_up_to

    def add(self, chunk: Chunk) -> list[Batch | Shard]:
        """Take the next rows of the input."""
        out: list[Batch | Shard] = []
        rest, taken = iter(chunk.ids), 0
        while ids := list(islice(rest, self._shard_rows - (self._row - self._shard.first_row + 1))):
            self._shard.spans.append((self._row + 1, chunk.source, chunk.first_row + taken))
            taken += len(ids)
            self._take(ids, out)
            if chunk.mark:
                self._shard.ends = replace(chunk.mark, skip=chunk.mark.skip + taken)
            self._shard.share = _between(self._share, chunk.share, taken / len(chunk.ids))
            if self._row - self._shard.first_row + 1 == self._shard_rows:
                self._close(out)
                self._open(self._shard.number + 1)
        self._share = chunk.share
        return out

    def finish(self) -> list[Batch | Shard]:
        """Close the last shard. An input without rows gives one empty shard, so that there is always a file to read."""
        out: list[Batch | Shard] = []
        if self._row >= self._shard.first_row or self._shard.number == 0:
            self._close(out)
        if self._done_up_to and self._row <= self._done_up_to * self._shard_rows:
            raise InputError(
                f"the input ends after {self._row:,} rows, and more were read before."
                " Bring the same input back, or begin anew with --restart."
            )
        return out

    def _open(self, number: int) -> None:
        self._shard = Shard(number=number, first_row=self._row + 1)
        self._seen: set[str] = set()
        self._accounts: list[str] = []
        self._rows: list[int] = []
        self._hash = hashlib.blake2b(digest_size=16)

    def _close(self, out: list[Batch | Shard]) -> None:
        if self._accounts:
            out.append(self._batch())
        self._shard.last_row = self._row
        self._shard.ids_hash = self._hash.hexdigest()
        known = self._done.get(self._shard.number)
        if known is None:
            out.append(self._shard)
        elif known != self._shard.ids_hash:
            raise InputError(
                f"rows {self._shard.first_row:,} to {self._row:,} of the input are not those that were read before."
                " Bring the same input back, or begin anew with --restart."
            )

    def _batch(self) -> Batch:
        batch = Batch(self._shard.number, self._shard.batches, self._accounts, self._rows)
        self._shard.batches += 1
        self._accounts, self._rows = [], []
        return batch

    def _take(self, ids: Sequence[str | BadId | None], out: list[Batch | Shard]) -> None:
        # Written out for texts: a call for each would be a tenth of the plan.
        hashed = [f"={len(item)}:{item}\n" if type(item) is str else f"{_hashed(item)}\n" for item in ids]
        self._hash.update("".join(hashed).encode())
        if self._shard.number in self._done:
            self._row += len(ids)
            return
        for first in range(0, len(ids), self._batch_accounts):
            piece = ids[first : first + self._batch_accounts]
            if self._is_plain(piece):
                self._ask(piece, range(self._row + 1, self._row + 1 + len(piece)), out)
            else:
                self._judge(piece, out)
            self._row += len(piece)

    def _is_plain(self, ids: Sequence[str | BadId | None]) -> TypeGuard[Sequence[str]]:
        """Tell in a few sweeps whether these are all different new accounts that need no second look, as most are.

        What is printable has no control character, and no space but the ordinary one.
        """
        if set(map(type, ids)) != {str}:
            return False
        texts = cast("Sequence[str]", ids)
        whole, different = "".join(texts), set(texts)
        if not whole.isprintable() or " " in whole or "" in different or len(different) != len(texts):
            return False
        sizes = map(len, texts if whole.isascii() else map(str.encode, texts))
        return max(sizes) <= ID_BYTES_MAX and self._seen.isdisjoint(different)

    def _ask(self, accounts: Sequence[str], rows: Sequence[int], out: list[Batch | Shard]) -> None:
        """Put new accounts into batches: at most as many as one batch has."""
        self._seen.update(accounts)
        room = self._batch_accounts - len(self._accounts)
        self._accounts += accounts[:room]
        self._rows += rows[:room]
        if len(self._accounts) == self._batch_accounts:
            out.append(self._batch())
            self._accounts += accounts[room:]
            self._rows += rows[room:]

    def _judge(self, ids: Sequence[str | BadId | None], out: list[Batch | Shard]) -> None:
        """Look at each: blank, unreadable, here before, impossible, or a new account."""
        shard = self._shard
        for row, item in enumerate(ids, self._row + 1):
            if item is None:
                shard.blank += 1
                continue
            if isinstance(item, BadId):
                shard.bad.append((row, _cut(item)))
                continue
            account = item.strip() if self._strip else item
            if account in self._seen:
                self._repeat(row, account)
            elif why := problem(account):
                shard.bad.append((row, _cut(BadId(account, Reason.INVALID_ID, why))))
            else:
                shard.spaced += account != account.strip()
                self._ask([account], [row], out)

    def _repeat(self, row: int, account: str) -> None:
        if self._keep:
            self._shard.repeats.append((row, account))
        else:
            self._shard.duplicates += 1


def _hashed(item: str | BadId | None) -> str:
    """Write an item so that no two runs of different items read alike."""
    text = item.text if isinstance(item, BadId) else item
    return f"{'!' if isinstance(item, BadId) else '='}{'' if text is None else f'{len(text)}:{text}'}"


def _cut(bad: BadId) -> BadId:
    if bad.text is None or len(bad.text) <= SHOWN_CHARS_MAX:
        return bad
    return BadId(bad.text[:SHOWN_CHARS_MAX], bad.reason, bad.message)


def _between(begin: float | None, end: float | None, part: float) -> float | None:
    """The share of the input at a `part` of a chunk between two shares; where its begin is not known, that of its end."""
    return end if begin is None or end is None else begin + (end - begin) * part
