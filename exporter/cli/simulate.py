"""`exporter simulate`: the service's double, to try things on: signature, quota, codes and faults."""

import asyncio
import contextlib
import os
import signal
from typing import Annotated

import typer

from exporter.cli.console import say, show
from exporter.errors import SettingsError
from exporter.simulator.config import Config
from exporter.simulator.faults import parse_faults

_DEFAULT = Config()


def simulate(  # noqa: PLR0913, PLR0917 - its flags
    host: Annotated[str, typer.Option(help="Where to listen.")] = _DEFAULT.host,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8080,
    sdkappid: Annotated[int, typer.Option(help="The simulated app.")] = _DEFAULT.sdkappid,
    identifier: Annotated[str, typer.Option(help="Its administrator.")] = _DEFAULT.identifier,
    rate: Annotated[int, typer.Option(help="Requests accepted in a rolling second; 0 for no limit.")] = _DEFAULT.rate,
    count_refused: Annotated[bool, typer.Option(help="Refused requests use the quota up too.")] = False,  # noqa: FBT002 - a flag
    seed: Annotated[int, typer.Option(help="Decides which request meets which fault.")] = _DEFAULT.seed,
    people_seed: Annotated[int, typer.Option(help="Decides who exists.")] = _DEFAULT.people_seed,
    unknown_share: Annotated[float, typer.Option(help="Share of unknown accounts.")] = _DEFAULT.unknown_share,
    unknown_as: Annotated[str, typer.Option(help="absent, error_list or whole_call.")] = _DEFAULT.unknown_as,
    latency_ms: Annotated[str, typer.Option(help="FROM-TO: every answer waits so long.")] = "0-0",
    fault: Annotated[list[str] | None, typer.Option(help="KIND=SHARE, such as code:91000=0.02; repeatable.")] = None,
    poison: Annotated[list[str] | None, typer.Option(help="An id (or a beginning*) that fails its request.")] = None,
    poison_code: Annotated[int, typer.Option(help="The code it fails with.")] = _DEFAULT.poison_code,
    outage: Annotated[list[str] | None, typer.Option(help="KIND:requests=A-B or KIND:seconds=A-B.")] = None,
    expire_at_request: Annotated[int, typer.Option(help="From here on an older UserSig is expired; 0 never.")] = 0,
    track_accounts: Annotated[bool, typer.Option(help="Count how often each account is asked for.")] = False,  # noqa: FBT002 - a flag
) -> int:
    """Run the service's double on this machine until it is stopped. Its key is EXPORTER_SECRET_KEY, or a public one."""
    low, _, high = latency_ms.partition("-")
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
            latency_ms=(float(low), float(high or low)),
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
        if config.secret_key == _DEFAULT.secret_key:
            say(f"The key of this double is no secret:  export EXPORTER_SECRET_KEY={_DEFAULT.secret_key}")

    with contextlib.suppress(asyncio.CancelledError):
        await serve(config, ready)
