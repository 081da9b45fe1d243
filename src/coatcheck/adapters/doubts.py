"""What whoever runs the server should know of requests that got no cookie, or whose client is not known: one line of
the log for each reason, once per `Auth`."""

from __future__ import annotations

import logging
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from ..credentials.arrival import Arrival
from ..credentials.elsewhere import Doubt
from ..policy import Policy

log = logging.getLogger("coatcheck.adapters")

SETTINGS: Final = (
    "coatcheck serve --trusted-proxies, uvicorn or gunicorn --forwarded-allow-ips, Flask's ProxyFix, Django's "
    "SECURE_PROXY_SSL_HEADER"
)
"""How a server is told which proxy to believe."""

_SAID: Final = {
    Doubt.TLS_NOT_BELIEVED: (
        "a request to %s came over plain http and began over https: no cookie of ours is set or read there. If a proxy "
        f"ends TLS, let the server believe it: {SETTINGS}"
    ),
    Doubt.REWRITTEN_HOST: (
        "a request to %s was made to another host: a proxy has rewritten Host, so no cookie of ours is set or read. "
        "Let the proxy hand Host on as it came (nginx: proxy_set_header Host $http_host), and let the server believe "
        f"it: {SETTINGS}"
    ),
}


class _Judge(Protocol):
    @property
    def policy(self) -> Policy: ...


_UNBELIEVED: Final = (
    "a request from %s says that it was forwarded, and nobody believes that: limits on logins and registrations cannot "
    "tell one client from another there, and the log and the list of devices do not name them. If a proxy of yours is "
    "at that address, have it send X-Forwarded-For, and name it: policy.trusted_proxies (coatcheck serve: "
    "--trusted-proxies), 'unix' for a UNIX socket"
)
_told: WeakKeyDictionary[_Judge, set[Doubt | str]] = WeakKeyDictionary()


def tell(auth: _Judge, arrival: Arrival, *, refused: bool = False) -> None:
    """Log it, the first time. Anybody can send such a request, so it is not said again. ``refused``: a cookie was
    asked for; until then a page of another site is only that."""
    if arrival.doubt is not None and (refused or arrival.names is None):
        _once(auth, arrival.doubt, _SAID[arrival.doubt], arrival.own_origin or "a host that is none")
    elif arrival.is_unbelieved(auth.policy.trusted_proxies):
        _once(auth, _UNBELIEVED, _UNBELIEVED, arrival.peer or "a UNIX socket")


def _once(auth: _Judge, reason: Doubt | str, text: str, about: str) -> None:
    told = _told.setdefault(auth, set())
    if reason not in told:
        told.add(reason)
        log.warning(text, about)
