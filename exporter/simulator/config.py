"""Everything that can be set on the simulator: plain values, checked once, the same names in code and in /control."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.simulator.faults import Outage, checked_faults, parse_outage

if TYPE_CHECKING:
    from exporter.simulator.people import World

UNKNOWN_AS = ("absent", "error_list", "whole_call")


@dataclass(frozen=True)
class Config:
    """One simulated app and the weather around it. Raises ValueError with a sentence for a value that cannot be.

    host, port          where to listen; port 0 takes any free one
    sdkappid, identifier, secret_key
                        the app, its only administrator, and the key that a UserSig must be made with
    rate                requests accepted per rolling second and per command; 0 for no limit
    count_refused       whether a refused request uses the quota up as well
    batch_max           accounts per request
    seed                decides which request meets which fault, and every latency
    people_seed         decides who exists and with which attributes
    unknown_share       share of accounts that the service does not know, 0..1
    unknown_as          how they show: "absent" from the answer, in "error_list", or "whole_call" fails with 70107
    empty_share         share of accounts without attributes, 0..1
    late_after          ids that end in a number from here on have one attribute more
    shuffle             answer in another order than asked
    latency_ms          (from, to): every answer waits so long, drawn evenly
    faults              kind -> share of requests, 0..1 (see `faults.KINDS`)
    poison, poison_code ids (or beginnings, `abc*`) that fail the whole request, and the code it fails with
    outages             windows like "http502:requests=100-200" or "hang:seconds=2.5-4"; "refuse" resets each
                        connection before it is answered
    expire_at_request   from this request on (0: never) a UserSig must be signed in a later second than that request
    redirect_to         where the redirect fault leads; empty for another path of this server
    hang_s_max          after so many seconds a hanging request is cut off
    track_accounts      count how often each account is asked for (memory grows with the accounts); see /accounts
    """

    host: str = "127.0.0.1"
    port: int = 0
    sdkappid: int = 1400000000
    identifier: str = "administrator"
    secret_key: str = field(default="simulated-secret-key", repr=False)
    rate: int = 100
    count_refused: bool = False
    batch_max: int = 100
    seed: int = 1
    people_seed: int = 1
    unknown_share: float = 0.01
    unknown_as: str = "error_list"
    empty_share: float = 0.02
    late_after: int = 40_000
    shuffle: bool = True
    latency_ms: tuple[float, float] = (0.0, 0.0)
    faults: Mapping[str, float] = field(default_factory=dict)
    poison: tuple[str, ...] = ()
    poison_code: int = 90048
    outages: tuple[str, ...] = ()
    expire_at_request: int = 0
    redirect_to: str = ""
    hang_s_max: float = 3600.0
    track_accounts: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "faults", checked_faults(self.faults))
        self.windows()
        for name in ("unknown_share", "empty_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {getattr(self, name)}.")
        for name in ("rate", "batch_max", "expire_at_request", "hang_s_max"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} cannot be negative; it is {getattr(self, name)}.")
        if self.unknown_as not in UNKNOWN_AS:
            raise ValueError(f"unknown_as is one of {', '.join(UNKNOWN_AS)}, not {self.unknown_as!r}.")
        if not 0 <= self.latency_ms[0] <= self.latency_ms[1]:
            raise ValueError(f"latency_ms is (from, to) with 0 <= from <= to, not {self.latency_ms}.")

    def world(self) -> "World":
        """Who exists."""
        from exporter.simulator.people import World  # a thousand dates: not for every command

        return World(self.people_seed, self.unknown_share, self.empty_share, self.late_after)

    def windows(self) -> tuple[Outage, ...]:
        """The outages, parsed."""
        return tuple(parse_outage(text) for text in self.outages)
