"""Where webhooks may go: to no address of this house, whatever a name resolves to at the moment.

Whoever makes a subscription chooses an address that this process then calls from inside. So a host's addresses are
looked up here, each is judged, and the connection goes to one that was judged: a name that answers otherwise the next
time (DNS rebinding) finds nobody who asks it again. Redirects are not followed.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import httpx

from workflows.errors import JourneysError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
#: What finds the addresses of a host: `socket.getaddrinfo`, in a thread.
LookUp = Callable[[str, int], Sequence[str]]

#: Seconds for which the addresses of a host are believed.
BELIEVED_FOR: Final = 10.0
#: IPv6 networks whose addresses hold an IPv4 address that is then called: NAT64, 6to4, and how far to shift.
_HOLDERS: Final = ((ip_network("64:ff9b::/96"), 0), (ip_network("2002::/16"), 80))


class AddressRefused(JourneysError):
    """A webhook's address leads into this house or nowhere; the sentence says what is wrong with it."""


class EgressGuard:
    """Judges addresses. `allowed` are networks of this house that may be called all the same."""

    def __init__(self, allowed: Sequence[str] = (), look_up: LookUp | None = None) -> None:
        self._allowed: tuple[Network, ...] = tuple(ip_network(one, strict=False) for one in allowed)
        self._look_up = look_up or _addresses_of
        # A name server that hangs keeps two threads of this receiver, and nobody else's.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="webhook-names")
        self._known: dict[tuple[str, int], tuple[float, Sequence[Address]]] = {}

    def close(self) -> None:
        """Let go of the threads; one that hangs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, url: str) -> None:
        """Raise `AddressRefused` for an address that no webhook may have."""
        parts = _parts(url)
        addresses = await self.addresses(parts.host, parts.port)
        if parts.scheme == "http" and not all(self._is_allowed(one) for one in addresses):
            raise AddressRefused("What is sent over http can be read on its way; give an https address.")

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host. Raises `AddressRefused` if one of them may not be called."""
        until, known = self._known.get((host, port), (0.0, ()))
        if until > monotonic():
            return known
        try:
            loop = asyncio.get_running_loop()
            texts = await loop.run_in_executor(self._threads, self._look_up, host, port)
            found = [ip_address(one.partition("%")[0]) for one in texts]
        except (OSError, ValueError, UnicodeError):
            found = []
        if not found:
            raise AddressRefused(f"Nobody knows an address of {host}; correct the name.")
        for one in found:
            if not self._is_allowed(one) and not is_public(one):
                raise AddressRefused(
                    f"{host} leads to an address that is not public; webhooks leave this house. An operator may allow "
                    "a network of its own by WEBHOOK_NETWORKS."
                )
        self._known = {(host, port): (monotonic() + BELIEVED_FOR, found)}
        return found

    def _is_allowed(self, address: Address) -> bool:
        inner = embedded(address)
        return any(inner.version == network.version and inner in network for network in self._allowed)


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to an address that the guard has judged, and speaks to the host that was asked for: by its name."""

    def __init__(self, guard: EgressGuard, inner: httpx.AsyncBaseTransport) -> None:
        self._guard = guard
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose host is replaced by its address. Raises `AddressRefused`, and what httpx raises."""
        parts = _parts(str(request.url))
        addresses = await self._guard.addresses(parts.host, parts.port)
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=str(addresses[0])),
            # They name the host already.
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": parts.host},
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def is_public(address: Address) -> bool:
    """Whether an address is somebody's on the Internet, and so nobody's in this house."""
    inner = embedded(address)
    if inner != address:
        return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


def embedded(address: Address) -> Address:
    """The IPv4 address that is really called by an IPv6 one that holds it; any other address as it is."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    for network, shift in _HOLDERS:
        if address in network:
            return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


class _Parts:
    """What of a URL decides where it leads."""

    def __init__(self, scheme: str, host: str, port: int) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port


def _parts(url: str) -> _Parts:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not url.isascii():
        raise AddressRefused("A webhook's address looks like https://host/path, in ASCII; correct it.")
    if parts.username is not None or parts.fragment:
        raise AddressRefused("A webhook's address has no user, no password and no fragment; leave them out.")
    return _Parts(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))


def _addresses_of(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
