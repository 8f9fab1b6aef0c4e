r"""Lines of text: they end at \n, \r\n or \r and nowhere else, and none is longer than the written limit."""

import codecs
import io
from collections.abc import Iterable, Iterator

from exporter.errors import InputError

LINE_CHARS_MAX = 1024 * 1024
BEGINS_CHARS = 100


class Lines:
    """The lines of one text with their endings, in one list for each block of bytes that completes some.

    `count` and `chars` say how many lines and characters were handed out, `plain` whether the last list is free of
    quotes: then every line in it is a row. `before` is what they said before the last list. The first `skip` characters,
    which are that many whole lines, are passed over: they are decoded, but not looked at. `begins` has the first
    characters of the text, blanks before them left out, as far as it was read.
    """

    def __init__(self, name: str, blocks: Iterable[bytes], encoding: str, *, skip: tuple[int, int] = (0, 0)) -> None:
        self.chars, self.count = self.before = skip
        self.plain = True
        self.begins = ""
        self._name = name
        self._blocks = blocks
        self._encoding = encoding
        self._carry = ""

    def __iter__(self) -> Iterator[list[str]]:
        """Raises InputError for bytes that are not in the encoding, and for a line that is too long."""
        for text in self._texts():
            whole = self._carry + text
            lines = io.StringIO(whole, newline="").readlines()
            # A line that ends with \r may go on with \n in the next block.
            self._carry = "" if lines[-1].endswith("\n") else lines.pop()
            # Only a line that began in an earlier block can be long: it is the first one, or still the last.
            if len(lines[0] if lines else self._carry) > LINE_CHARS_MAX:
                raise self._too_long()
            if lines:
                yield self._handed_out(lines, whole, len(whole) - len(self._carry))
        if self._carry:
            last, self._carry = self._carry, ""
            yield self._handed_out([last], last, len(last))

    @property
    def chars_read(self) -> int:
        """Characters that were read, those of a line that is not whole yet included."""
        return self.chars + len(self._carry)

    def _handed_out(self, lines: list[str], text: str, chars: int) -> list[str]:
        self.before = (self.chars, self.count)
        self.count += len(lines)
        self.chars += chars
        self.plain = '"' not in text
        return lines

    def _texts(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._encoding)()
        first, left = True, self.chars
        for decoded in self._decoded(decoder):
            text = decoded.removeprefix("\ufeff") if first else decoded
            first = False
            if len(self.begins) < BEGINS_CHARS:
                self.begins = (self.begins + text).lstrip()[:BEGINS_CHARS]
            if len(text) > left:
                yield text[left:] if left else text
            left = max(0, left - len(text))

    def _decoded(self, decoder: codecs.IncrementalDecoder) -> Iterator[str]:
        try:
            for block in self._blocks:
                if text := decoder.decode(block):
                    yield text
            if text := decoder.decode(b"", True):
                yield text
        except UnicodeError as error:
            raise self._not_text(error) from error

    def _not_text(self, error: UnicodeError) -> InputError:
        place = ""
        if isinstance(error, UnicodeDecodeError):
            before = self._carry + error.object[: error.start].decode(self._encoding, "replace")
            breaks = sum(line.endswith(("\n", "\r")) for line in io.StringIO(before, newline=""))
            place = f" in line {self.count + breaks + 1:,} (byte 0x{error.object[error.start]:02x})"
        return InputError(
            f"{self._name}: is not {self._encoding} text{place}; say how it is encoded with --encoding, for instance "
            "--encoding cp1252."
        )

    def _too_long(self) -> InputError:
        return InputError(
            f"{self._name}: line {self.count + 1:,} (from character {self.chars:,} of the text) is longer than "
            f"{LINE_CHARS_MAX:,} characters; is this a list of account ids, one a line?"
        )
