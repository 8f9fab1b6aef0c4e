"""Who lives in the simulated app: every attribute is a function of the id and the seed, so nothing is stored."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from struct import Struct

ID_BYTES_MAX = 32
VALUE_BYTES_MAX = 50
SHARE_STEPS = 1 << 16
GAP_STEPS = SHARE_STEPS // 16

ATTRIBUTE_NAMES = (
    "sex",
    "city",
    "level",
    "score",
    "vip",
    "seen",
    "nick",
    "会员等级",
    "Membership level",
    "late_attribute",
)
"""The names the app has set, in the order of their numbers "0".."9" (ten is the service's limit)."""

SEXES = ("Female", "Male", "F", "M", "女", "男", "unknown", "")
CITIES = (
    *("New York", "Shenzhen", "深圳", "上海", "北京市朝阳区", "São Paulo", "Zürich", "Kraków", "München", "İstanbul"),
    *("Washington, D.C.", "St. John's", "Αθήνα", "Москва", "서울", "東京", "ירושלים", "القاهرة", "मुंबई", "Hà Nội"),
    *("Llanfairpwllgwyngyllgogerychwyrndrobwllllantysilio", "Jakarta", "Singapore", "Frankfurt", "Silicon Valley"),
)
NICKS = (
    *(
        "Zhang Xiaohong",
        "张小红",
        "陈小明",
        "欧阳 娜娜",
        'Anna "Annie" Lee',
        "O'Brien",
        "Smith, John",
        "semi;colon",
        "a\tb",
    ),
    *(
        "two\nlines",
        "carriage\r\nreturn",
        "back\\slash",
        "🦊 fox",
        "👩‍👩‍👧‍👦 family",
        " leading",
        "trailing ",
        "=SUM(A1:A9)",
    ),
    *(
        "NULL",
        "null",
        "None",
        "NaN",
        "0",
        "007",
        "1e5",
        "true",
        "{}",
        "[]",
        "<b>bold</b>",
        "-",
        "",
        "Ωmega",
        "ﷺ",
        "e\u0301",
    ),
    *("ゆき", "수지", "Владимир", "Nguyễn Văn A", "zero\u200bwidth", "ABCDEFGHIJ" * 5, "红" * 16, "🦊" * 12),
)
LEVELS = tuple(str(level) for level in range(1, 65))
SCORES = tuple(f"{cents / 100:.2f}" for cents in range(-1_000, 9_000))
SEEN = tuple((datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=8_641 * step)).isoformat() for step in range(8_192))
RANKS = ("普通会员", "银牌会员", "金牌会员", "钻石会员")
MEMBERSHIPS = ("Basic", "Silver", "Gold", "Platinum plus")
VIP = ("false", "false", "false", "true")

_DRAWS = Struct("<8H").unpack
_TRAILING_NUMBER = re.compile(r"[0-9]{1,15}$")


@dataclass(frozen=True, slots=True)
class World:
    """What decides who exists: shares are 0..1 of all accounts.

    `late_attribute` is set for ids that end in a number of at least `late_after`, so that an export of generated
    ids meets a new column late.
    """

    seed: int = 1
    unknown_share: float = 0.01
    empty_share: float = 0.02
    late_after: int = 40_000


def attributes_of(account: str, world: World) -> dict[str, str] | None:
    """The account's attributes, `{}` when it has none, None when the service does not know it.

    Every value is text of at most 50 bytes ("Setting User Attributes").
    """
    data = account.encode()
    fate, few, city, level, score, seen, nick, gap = _DRAWS(
        blake2b(b"%d:%b" % (world.seed, data), digest_size=16).digest()
    )
    place = fate / SHARE_STEPS
    if place < world.unknown_share or not 0 < len(data) <= ID_BYTES_MAX:
        return None
    if place >= 1 - world.empty_share:
        return {}
    rank = few & 3
    attributes = {
        "sex": SEXES[few >> 2 & 7],
        "city": CITIES[city % len(CITIES)],
        "level": LEVELS[level & 63],
        "score": SCORES[score % len(SCORES)],
        "vip": VIP[rank],
        "seen": SEEN[seen & 8191],
        "nick": NICKS[nick % len(NICKS)],
        "会员等级": RANKS[rank],
        "Membership level": MEMBERSHIPS[rank],
    }
    if gap < GAP_STEPS:
        del attributes["nick"], attributes["seen"]
    tail = _TRAILING_NUMBER.search(account)
    if tail and int(tail[0]) >= world.late_after:
        attributes["late_attribute"] = f"since {tail[0]}"
    return attributes


def generate_ids(count: int) -> Iterator[str]:
    """`count` different demo ids, the same every time: plain ones, and in every thousand one CJK and one with a space."""
    for number in range(1, count + 1):
        match number % 1_000:
            case 7:
                yield f"用户_{number:07d}"
            case 13:
                yield f"user {number:07d}"
            case _:
                yield f"user_{number:07d}"
