"""The page of the service's error codes, made from the table that the client obeys."""

from exporter.api.codes import CODES, HTTP_HUNDREDS, HTTP_OTHER, HTTP_STATUS, UNKNOWN, Code
from exporter.errors import Verdict
from making import page

VERDICTS = {
    Verdict.RETRY: "asks again after a short random wait, up to {attempts} attempts",
    Verdict.SLOW_DOWN: "slows all requests down and asks again; costs the account nothing",
    Verdict.RESIGN: "makes a new UserSig and asks again; stops the run (exit 4) after {attempts} such answers in a row",
    Verdict.SPLIT: "halves the batch and asks for both halves",
    Verdict.ACCOUNT: "bisects the batch until the account at fault stands alone; that one becomes a reject",
    Verdict.FATAL: "stops the run (exit 4)",
}


def error_codes() -> str:
    """Make the page of the service's error codes."""
    columns = ["code", "meaning", "what the exporter does", "what to do"]
    numbers = sorted(CODES, key=lambda code: (code < 0, abs(code)))
    rows = [(page.code(number), *_code_words(CODES[number])) for number in numbers]
    statuses = [(page.code(status), *_code_words(code)) for status, code in HTTP_STATUS.items()]
    hundreds = [(f"other `{hundred}xx`", *_code_words(code)) for hundred, code in HTTP_HUNDREDS.items()]
    parts = [
        *page.head("Error codes of the service", "exporter/api/codes.py"),
        (
            "The service answers HTTP 200 to everything but failures of the network; its `ErrorCode` carries the meaning. The"
            " meanings are those of the vendor's published tables, in our words. Where the last column is empty, waiting is all there"
            " is. How accounts that still fail show: see [the rejects](output-format.md#rejects)."
        ),
        "",
        *page.table(columns, [*rows, ("any other", *_code_words(UNKNOWN))]),
        "",
        "## HTTP statuses",
        "",
        *page.table(["status", *columns[1:]], [*statuses, *hundreds, ("any other", *_code_words(HTTP_OTHER))]),
    ]
    return page.text(parts)


def _code_words(code: Code) -> tuple[str, str, str]:
    return code.meaning, VERDICTS[code.verdict].format(attempts=code.attempts_max), code.remedy
