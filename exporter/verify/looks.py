"""What must hold of the rows in each folder: one function a folder, over batches that are the right columns. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exporter.model import Reason
from exporter.verify.claims import BAD, DATA, REJECTS
from exporter.verify.content import Content, Look
from exporter.verify.schemas import ACCOUNT

ID_BYTES_MAX = 32
Array = Any
"""An Arrow array: the stubs of its compute functions want more than they can know."""

_CONTROL = r"[\x00-\x1f\x{7f}-\x{9f}]"
_REASONS = pa.array([str(reason) for reason in Reason], pa.string())
_NEVER_ASKED = pa.array([str(Reason.INVALID_ID), str(Reason.BAD_ROW)], pa.string())


def is_account(texts: Array) -> Array:
    """Tell which texts can be account ids: 1 to 32 bytes, no control character."""
    size = pc.binary_length(texts)
    fits = pc.and_(pc.greater(size, pa.scalar(0)), pc.less_equal(size, pa.scalar(ID_BYTES_MAX)))
    plain = pc.invert(pc.match_substring_regex(texts, pattern=_CONTROL))
    return pc.fill_null(pc.and_(fits, plain), pa.scalar(value=False))


def was_asked(reasons: Array) -> Array:
    """Tell which rejects are those of accounts that the service was asked for."""
    return pc.invert(pc.is_in(reasons, value_set=_NEVER_ASKED))


def looks(columns: Sequence[Mapping[str, str]]) -> Mapping[str, Look]:
    """Give what is to be looked at in the rows of each folder, for a manifest's `schema`."""
    typed = [item.get("attribute", item["name"]) for item in columns if item["type"] != "text"]
    attributes = pa.array(typed, pa.string())

    def bad_values(batch: pa.RecordBatch, content: Content) -> None:
        names: Array = batch.column("attribute")
        _count(names, content)
        _note(content, "attribute is none of those that have a type", pc.invert(pc.is_in(names, value_set=attributes)))
        _note(content, "account_id or value is null", _null(batch, ACCOUNT, "value"))

    return {DATA: _data, REJECTS: _rejects, BAD: bad_values}


def _data(batch: pa.RecordBatch, content: Content) -> None:
    accounts: Array = batch.column(ACCOUNT)
    _note(content, "account_id is none that can exist", pc.invert(is_account(accounts)))
    content.spaced += _spaced(accounts)


def _rejects(batch: pa.RecordBatch, content: Content) -> None:
    reasons: Array = batch.column("reason")
    _count(reasons, content)
    _note(content, "reason is no known one", pc.invert(pc.is_in(reasons, value_set=_REASONS)))
    accounts: Array = batch.column(ACCOUNT)
    asked = was_asked(reasons)
    _note(content, "account_id is none that can have been asked for", pc.and_not(asked, is_account(accounts)))
    _note(content, "source or row_number is null", _null(batch, "source", "row_number"))
    _note(
        content,
        "row_number is below 1",
        pc.fill_null(pc.less(batch.column("row_number"), pa.scalar(1)), pa.scalar(value=False)),
    )
    content.spaced += _spaced(accounts.filter(asked))


def _count(texts: Array, content: Content) -> None:
    for item in pc.value_counts(texts):
        content.counts[item["values"].as_py()] += item["counts"].as_py()


def _note(content: Content, words: str, rows: Array) -> None:
    if number := pc.sum(rows).as_py():
        content.problems[words] += number


def _null(batch: pa.RecordBatch, *names: str) -> Array:
    first, second = (pc.is_null(batch.column(name)) for name in names)
    return pc.or_(first, second)


def _spaced(accounts: Array) -> int:
    return pc.sum(pc.not_equal(accounts, pc.utf8_trim_whitespace(accounts))).as_py() or 0
