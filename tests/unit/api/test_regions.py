"""Regions and addresses."""

import pytest

from exporter.api.regions import REGIONS, base_url_of, host_of
from exporter.errors import SettingsError


def test_regions() -> None:
    """The published domains, first and backup, by name."""
    assert {name: (region.host, region.backup) for name, region in REGIONS.items()} == {
        "china": ("console.tim.qq.com", "adminapi.my-imcloud.com"),
        "singapore": ("adminapisgp.im.qcloud.com", "adminapisgp.my-imcloud.com"),
        "seoul": ("adminapikr.im.qcloud.com", "adminapikr.my-imcloud.com"),
        "tokyo": ("adminapijpn.im.qcloud.com", "adminapijpn.my-imcloud.com"),
        "frankfurt": ("adminapiger.im.qcloud.com", "adminapiger.my-imcloud.com"),
        "silicon-valley": ("adminapiusa.im.qcloud.com", "adminapiusa.my-imcloud.com"),
        "jakarta": ("adminapiidn.im.qcloud.com", "adminapiidn.my-imcloud.com"),
        "mumbai": ("adminapiind.im.qcloud.com", "adminapiind.my-imcloud.com"),
        "saudi-arabia": ("adminapiksa.im.qcloud.com", "adminapiksa.my-imcloud.com"),
    }
    assert host_of("tokyo") == "adminapijpn.im.qcloud.com"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Singapour", "singapore"), ("TOKYO", "tokyo"), ("silicon valley", "silicon-valley"), ("saudi", "saudi-arabia")],
)
def test_nearly_a_region(name: str, meant: str) -> None:
    """A misspelt region is refused with the name that was meant."""
    with pytest.raises(SettingsError, match=f"did you mean {meant}\\?"):
        host_of(name)


@pytest.mark.parametrize("name", ["", "x", "hongkong-9"])
def test_no_region(name: str) -> None:
    """A name like no other is refused with all the names."""
    with pytest.raises(SettingsError, match="china, singapore, seoul"):
        host_of(name)


@pytest.mark.parametrize(
    "address",
    [
        "https://console.tim.qq.com",
        "https://gateway.example:8443",
        "https://10.0.0.1",
        "https://[2001:db8::1]:443",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://[::1]:8080",
        "http://localhost:1",
        "HTTPS://Console.Tim.QQ.com",
    ],
)
def test_addresses_that_may_be_called(address: str) -> None:
    """TLS goes anywhere, plain http to this machine; a slash at the end is dropped."""
    assert base_url_of(address) == base_url_of(address + "/") == address


@pytest.mark.parametrize(
    "address",
    [
        "http://console.tim.qq.com",
        "http://10.0.0.1",
        "http://128.0.0.1",
        "http://[2001:db8::1]",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "HTTP://example",
    ],
)
def test_plain_http_stays_on_this_machine(address: str) -> None:
    """Plain http to another machine is refused: the UserSig would travel in the open."""
    with pytest.raises(SettingsError, match="https"):
        base_url_of(address)


@pytest.mark.parametrize(
    "address",
    [
        *("", "console.tim.qq.com", "https://", "https:///path", "ftp://host", "//host", "https:host"),
        *("https://host/v4", "https://host?usersig=canary", "https://host#canary", "https://u:canary@host"),
        *("http://127.0.0.1@evil.example", "http://evil.example\\@127.0.0.1", "https://ho st", "https://host\n"),
        *("https://host:0", "https://host:99999", "https://host:x", "https://host:", "https://[::1", "https://[x]"),
        *("https://a..b", "https://.a", "https://-a", f"https://{'a' * 64}", "https://控制台", "https://%68ost"),
        *("https://host?", "https://host#", "http://localhost;x", "https://[fe80::1%eth0]"),
    ],
)
def test_no_address(address: str) -> None:
    """Anything but scheme, host and port is refused, and what may be a secret in it is not repeated."""
    with pytest.raises(SettingsError) as caught:
        base_url_of(address)
    assert "canary" not in str(caught.value)
