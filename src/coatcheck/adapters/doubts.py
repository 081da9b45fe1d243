"""What whoever runs the server should know of requests that got no cookie: one line of the log, once per `Auth`."""

from __future__ import annotations

import logging
from typing import Final
from weakref import WeakKeyDictionary

from ..credentials.arrival import Arrival
from ..credentials.elsewhere import Doubt

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
        "Let the proxy hand Host on as it came (nginx: proxy_set_header Host $host), and let the server believe it: "
        f"{SETTINGS}"
    ),
}
_told: WeakKeyDictionary[object, set[Doubt]] = WeakKeyDictionary()


def tell(auth: object, arrival: Arrival, *, refused: bool = False) -> None:
    """Log it, the first time. Anybody can send such a request, so it is not said again. ``refused``: a cookie was
    asked for; until then a page of another site is only that."""
    if arrival.doubt is None or not (refused or arrival.names is None):
        return
    told = _told.setdefault(auth, set())
    if arrival.doubt not in told:
        told.add(arrival.doubt)
        log.warning(_SAID[arrival.doubt], arrival.own_origin or "a host that is none")
