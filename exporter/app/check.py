"""Two calls that tell whether key, administrator, region, feature and attribute names are right."""

from collections.abc import Callable

from exporter.app.service import asked_once, make_client
from exporter.errors import ServiceRefusal
from exporter.settings import Settings


async def check_service(settings: Settings, *, hide: Callable[[str], None]) -> list[str]:
    """Make two calls; return in words what is right. Raises ServiceRefusal that says what is wrong and how to mend it."""
    client = make_client(settings, hide=hide)
    said = [f"Reached {client.base_url} as {client.identifier} of app {client.sdkappid}."]
    async with client:
        reply = await asked_once(client.fetch([client.identifier]))
        said.append("The key, the administrator and the region are right, and the attributes feature is on.")
        if client.identifier in reply.found:
            said.append(f"{client.identifier} has {len(reply.found[client.identifier])} attributes of its own.")
        else:
            said.append(f"{client.identifier} has no attributes of its own: it is no chat user, which is fine.")
        names = await asked_once(client.attribute_names())
    if not names:
        said.append("The app has no attribute names yet: set them in the console or with im_set_attr_name.")
        return said
    said.append(f"The app has {len(names)} attribute names: {', '.join(names)}.")
    if unknown := [name for name in settings.attribute_names or () if name not in names]:
        raise ServiceRefusal(
            f"--attributes names what the app does not have: {', '.join(unknown)}. It has {', '.join(names)}."
        )
    return said
