"""`exporter simulate`: the service's double, to try things on: signature, quota, codes and faults."""

import asyncio
import contextlib
import os
import signal
from typing import Annotated

import typer

from exporter.cli.console import say, show
from exporter.cli.flags import offering
from exporter.errors import SettingsError
from exporter.simulator.config import UNKNOWN_AS, Config
from exporter.simulator.faults import KINDS, OUTAGES, parse_faults

_DEFAULT = Config()
_FAULTS = f"Such as code:91000=0.02; repeatable. Kinds: {', '.join(KINDS)}."
_OUTAGES = f"Such as hang:seconds=2.5-4 or http502:requests=100-200; repeatable. Kinds: {', '.join(OUTAGES)}."


def simulate(  # noqa: PLR0913, PLR0917 - its flags
    host: Annotated[str, typer.Option(help="Where to listen.", metavar="HOST")] = _DEFAULT.host,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.", metavar="PORT")] = 8080,
    sdkappid: Annotated[int, typer.Option(help="The simulated app.", metavar="NUMBER")] = _DEFAULT.sdkappid,
    identifier: Annotated[str, typer.Option(help="Its administrator.", metavar="ACCOUNT")] = _DEFAULT.identifier,
    rate: Annotated[
        int, typer.Option(help="Requests accepted in a rolling second; 0 for no limit.", metavar="NUMBER")
    ] = _DEFAULT.rate,
    count_refused: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--count-refused", help="Refused requests use the quota up too.")
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Decides which request meets which fault.", metavar="NUMBER")
    ] = _DEFAULT.seed,
    people_seed: Annotated[int, typer.Option(help="Decides who exists.", metavar="NUMBER")] = _DEFAULT.people_seed,
    unknown_share: Annotated[
        float, typer.Option(help="Share of unknown accounts, 0 to 1.", metavar="SHARE")
    ] = _DEFAULT.unknown_share,
    unknown_as: Annotated[
        str,
        typer.Option(
            help="How it answers about those.", metavar="|".join(UNKNOWN_AS), autocompletion=offering(UNKNOWN_AS)
        ),
    ] = _DEFAULT.unknown_as,
    latency_ms: Annotated[str, typer.Option(help="Every answer waits so long.", metavar="FROM-TO")] = "0-0",
    fault: Annotated[list[str] | None, typer.Option(help=_FAULTS, metavar="KIND=SHARE")] = None,
    poison: Annotated[
        list[str] | None, typer.Option(help="An id (or a beginning*) that fails its request; repeatable.", metavar="ID")
    ] = None,
    poison_code: Annotated[int, typer.Option(help="The code it fails with.", metavar="CODE")] = _DEFAULT.poison_code,
    outage: Annotated[list[str] | None, typer.Option(help=_OUTAGES, metavar="KIND:UNIT=A-B")] = None,
    expire_at_request: Annotated[
        int, typer.Option(help="From here on an older UserSig is expired; 0 never.", metavar="NUMBER")
    ] = 0,
    track_accounts: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--track-accounts", help="Count how often each account is asked for.")
    ] = False,
) -> int:
    """Run the service's double on this machine until it is stopped. Its key is EXPORTER_SECRET_KEY, or a public one."""
    try:
        config = Config(
            host=host,
            port=port,
            sdkappid=sdkappid,
            identifier=identifier,
            secret_key=os.environ.get("EXPORTER_SECRET_KEY") or _DEFAULT.secret_key,
            rate=rate,
            count_refused=count_refused,
            seed=seed,
            people_seed=people_seed,
            unknown_share=unknown_share,
            unknown_as=unknown_as,
            latency_ms=_latency(latency_ms),
            faults=parse_faults(fault or []),
            poison=tuple(poison or ()),
            poison_code=poison_code,
            outages=tuple(outage or ()),
            expire_at_request=expire_at_request,
            track_accounts=track_accounts,
        )
        asyncio.run(_serve(config))
    except ValueError as error:
        raise SettingsError(str(error)) from None
    except OSError as error:
        words = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise SettingsError(
            f"cannot listen on {host}:{port}: {words.lower()}. Choose another --port, or 0 for any."
        ) from None
    return 0


def _latency(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise ValueError(f"--latency-ms is FROM-TO in milliseconds, such as 20-50, not {text!r}.") from None


async def _serve(config: Config) -> None:
    from exporter.simulator.server import serve

    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: task and task.cancel())

    def ready(port: int) -> None:
        show(f"Listening on http://{config.host}:{port} (seed {config.seed}, rate {config.rate} a second)")
        say(
            f"Try it:  exporter run ids.csv --out export --base-url http://{config.host}:{port}"
            f" --sdkappid {config.sdkappid} --identifier {config.identifier}"
        )
        if os.environ.get("EXPORTER_SECRET_KEY"):  # covered on every way out, be it the public one
            say("The key of this double is the one in EXPORTER_SECRET_KEY.")
        else:
            say(f"The key of this double is no secret:  export EXPORTER_SECRET_KEY={_DEFAULT.secret_key}")

    with contextlib.suppress(asyncio.CancelledError):
        await serve(config, ready)
