"""Where the service lives: a region's domain, or an address of one's own that may carry a UserSig.

Sources: "RESTful API Overview"; saudi-arabia is known from public client code alone, mumbai from older pages.
"""

import difflib
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from exporter.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Region:
    """The domain of a region, and the one to use when DNS lies about the first."""

    host: str
    backup: str


REGIONS: dict[str, Region] = {
    "china": Region("console.tim.qq.com", "adminapi.my-imcloud.com"),
    "singapore": Region("adminapisgp.im.qcloud.com", "adminapisgp.my-imcloud.com"),
    "seoul": Region("adminapikr.im.qcloud.com", "adminapikr.my-imcloud.com"),
    "tokyo": Region("adminapijpn.im.qcloud.com", "adminapijpn.my-imcloud.com"),
    "frankfurt": Region("adminapiger.im.qcloud.com", "adminapiger.my-imcloud.com"),
    "silicon-valley": Region("adminapiusa.im.qcloud.com", "adminapiusa.my-imcloud.com"),
    "jakarta": Region("adminapiidn.im.qcloud.com", "adminapiidn.my-imcloud.com"),
    "mumbai": Region("adminapiind.im.qcloud.com", "adminapiind.my-imcloud.com"),
    "saudi-arabia": Region("adminapiksa.im.qcloud.com", "adminapiksa.my-imcloud.com"),
}

_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"({_LABEL}\.)*{_LABEL}")


def host_of(name: str) -> str:
    """The domain of a region. Raises SettingsError, with the nearest right name, when there is no such region."""
    region = REGIONS.get(name)
    if region is None:
        near = difflib.get_close_matches(name.lower(), REGIONS, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}?" if near else "the regions are " + ", ".join(REGIONS) + "."
        raise SettingsError(f"There is no region {name!r}: {advice}")
    return region.host


def base_url_of(address: str) -> str:
    """`address` as scheme, host and port, fit to be called.

    Raises SettingsError for anything else in it, and for plain http to another machine: the UserSig travels in it.
    """
    host = _host(address)
    if host is None:
        raise SettingsError("--base-url must look like https://HOST or https://HOST:PORT, with nothing behind it.")
    scheme = address.partition(":")[0].lower()
    if scheme == "http" and not _is_loopback(host):
        raise SettingsError(
            f"--base-url: {host} must be called by https, or the UserSig could be read on the way. Plain http is for this"
            " machine alone."
        )
    return address.rstrip("/")


def _host(address: str) -> str | None:
    """The host that `address` names; None when it is not of the form http(s)://HOST[:PORT][/]."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    # Whatever else `address` could hold, a password or a query say, would not come out the same when put together.
    shown = f"[{host}]" if ":" in host else host
    again = f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")
    fits = parts.scheme in ("http", "https") and port != 0 and again == address.lower().rstrip("/")
    return host if fits and (_is_ip(host) or _NAME.fullmatch(host)) else None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.replace("%", " "))  # no zone: it would not survive a URL
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if _is_ip(host) else host == "localhost"
