"""What holds for every test: how Hypothesis draws, and that nothing leaves this machine."""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address
from typing import Any

from hypothesis import settings

# In CI the same examples every time, and no deadlines: a slow machine is not a failure.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_ADDRESSED = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class NotLoopback(BaseException):
    """A test tried to reach another machine. Not an `Exception`, so that no code under test mistakes it for a fault."""


def _is_elsewhere(host: str) -> bool:
    try:
        return not ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host != "localhost"


def _is_foreign_name(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return host not in {"localhost", ""}
    return False


def _refuse_other_machines(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: connections and datagrams go to this machine or nowhere, and no name server is asked.

    It sees Python's own sockets in this process; uvloop and child processes are on their honour.
    """
    if event in _ADDRESSED:
        address = arguments[1]
        if isinstance(address, tuple) and _is_elsewhere(str(address[0])):
            raise NotLoopback(f"{event} to {address[0]}")
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name is not None and _is_foreign_name(name):
            raise NotLoopback(f"{event} of {name}")


sys.addaudithook(_refuse_other_machines)
