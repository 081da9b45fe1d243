"""The test clients there are, and how each is given a cookie or a header. None of their libraries is imported here."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from http.cookiejar import Cookie
from inspect import iscoroutinefunction
from typing import Any

from ..credentials.cookies import CookieNames, names_for
from ..verifier import STATE_KEY


class Driver(ABC):
    """One client. ``is_async``: whether its requests are awaited."""

    is_async: bool = False

    @abstractmethod
    def place(self) -> tuple[str, str]:
        """Scheme and Host of its requests."""

    def move_to_https(self) -> bool:
        """From now on its requests are https, to the same host. False where that is not for us to do: the client
        talks to a real server, or has been told by its application's settings."""
        return False

    @abstractmethod
    def put_cookie(self, name: str, value: str, *, path: str, secure: bool) -> None:
        """Keep a cookie, in the place of one of the same name."""

    @abstractmethod
    def drop_cookie(self, name: str, *, path: str) -> None:
        """Forget a cookie, if it is there."""

    @abstractmethod
    def put_header(self, name: str, value: str | None) -> None:
        """Send this header with every request; None: no longer."""

    @abstractmethod
    def request(self, method: str, url: str, arguments: dict[str, Any]) -> Any:
        """One request by the client's own means. An awaitable where `is_async`."""

    @abstractmethod
    def auth(self) -> object:
        """What verifies in its application, or None where that cannot be found."""

    def cookie_names(self) -> CookieNames:
        """What our cookies are called at the place that the client talks to. Over plain http to another machine none
        are read, so a client in this process (at ``http://testserver``) is moved to https. Raises `ValueError`."""
        scheme, host = self.place()
        names = names_for(scheme, host.encode("latin-1"))
        if names is None and self.move_to_https():
            names = names_for("https", host.encode("latin-1"))
        if names is None:
            place = f"{scheme or 'http'}://{host or '?'}"
            raise ValueError(
                f"no cookies are read at {place}: let the client's base URL be https, or a loopback address"
            )
        return names


class HttpxDriver(Driver):
    """Of httpx and httpx2: Client and AsyncClient, and the test clients of Starlette, FastAPI and Litestar."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.is_async = iscoroutinefunction(client.request)

    def place(self) -> tuple[str, str]:
        url = self._client.base_url
        return url.scheme, url.netloc.decode("ascii")

    def move_to_https(self) -> bool:
        if self._app() is None or not self.place()[1]:
            return False
        self._client.base_url = self._client.base_url.copy_with(scheme="https")
        return True

    def put_cookie(self, name: str, value: str, *, path: str, secure: bool) -> None:
        host = self._client.base_url.host
        domain = host if "." in host or ":" in host else f"{host}.local"  # as http.cookiejar calls it
        self._client.cookies.jar.set_cookie(
            Cookie(
                version=0, name=name, value=value, port=None, port_specified=False, domain=domain,
                domain_specified=False, domain_initial_dot=False, path=path, path_specified=True, secure=secure,
                expires=None, discard=True, comment=None, comment_url=None, rest={"HttpOnly": ""},
            )
        )  # fmt: skip

    def drop_cookie(self, name: str, *, path: str) -> None:
        jar = self._client.cookies.jar
        for cookie in [cookie for cookie in jar if cookie.name == name]:
            jar.clear(cookie.domain, cookie.path, cookie.name)

    def put_header(self, name: str, value: str | None) -> None:
        self._client.headers.pop(name, None)
        if value is not None:
            self._client.headers[name] = value

    def request(self, method: str, url: str, arguments: dict[str, Any]) -> Any:
        return self._client.request(method, url, **arguments)

    def auth(self) -> object:
        yielded = getattr(self._client, "app_state", {}).get(STATE_KEY)  # Starlette's client keeps what lifespan gave
        if yielded is not None:
            return yielded
        return _auth_in(self._app())

    def _app(self) -> object:
        """The application in this process, None for a client of real servers."""
        transport = getattr(self._client, "_transport", None)
        return getattr(self._client, "app", None) or getattr(transport, "app", None)


class FlaskDriver(Driver):
    """Flask's ``app.test_client()``."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def place(self) -> tuple[str, str]:
        request = self._client.application.test_request_context().request
        return request.scheme, request.host

    def put_cookie(self, name: str, value: str, *, path: str, secure: bool) -> None:
        self._client.set_cookie(name, value, domain=self._domain(), path=path, secure=secure, httponly=True)

    def drop_cookie(self, name: str, *, path: str) -> None:
        self._client.delete_cookie(name, domain=self._domain(), path=path)

    def put_header(self, name: str, value: str | None) -> None:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        self._client.environ_base.pop(key, None)
        if value is not None:
            self._client.environ_base[key] = value

    def request(self, method: str, url: str, arguments: dict[str, Any]) -> Any:
        return self._client.open(url, method=method, **arguments)

    def auth(self) -> object:
        return _auth_in(self._client.application)

    def _domain(self) -> str:
        return self.place()[1].partition(":")[0]


class DjangoDriver(Driver):
    """Django's Client and AsyncClient. They send a cookie to every path."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.is_async = iscoroutinefunction(client.request)

    def place(self) -> tuple[str, str]:
        scheme = "https" if isinstance(self._client.generic, _Https) else "http"
        defaults = {} if self.is_async else self._client.defaults
        return scheme, str(defaults.get("HTTP_HOST") or defaults.get("SERVER_NAME") or "testserver")

    def move_to_https(self) -> bool:
        self._client.generic = _Https(self._client.generic)
        return True

    def put_cookie(self, name: str, value: str, *, path: str, secure: bool) -> None:
        if not secure:  # Django's client sends no Host, and without one nothing is known to be on this machine
            self._client.defaults.setdefault("HTTP_HOST", self.place()[1])
        self._client.cookies[name] = value
        self._client.cookies[name].update({"path": path, "secure": secure, "httponly": True})

    def drop_cookie(self, name: str, *, path: str) -> None:
        self._client.cookies.pop(name, None)

    def put_header(self, name: str, value: str | None) -> None:
        key = name if self.is_async else f"HTTP_{name.upper().replace('-', '_')}"
        self._client.defaults.pop(key, None)
        if value is not None:
            self._client.defaults[key] = value

    def request(self, method: str, url: str, arguments: dict[str, Any]) -> Any:
        return self._client.generic(method, url, **arguments)

    def auth(self) -> object:
        from ..django.conf import knower

        return knower()


class _Https:
    """A Django client's ``generic``, by which all its requests go, with ``secure=True``."""

    def __init__(self, generic: Any) -> None:
        self._generic = generic

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return self._generic(*arguments, **{**settings, "secure": True})


def driver_of(client: object) -> Driver:
    """How to drive this client. Raises `TypeError` for one that nobody knows."""
    for module, name, driver in (
        ("flask.testing", "FlaskClient", FlaskDriver),
        ("django.test.client", "ClientMixin", DjangoDriver),
        ("httpx", "Client", HttpxDriver),
        ("httpx", "AsyncClient", HttpxDriver),
        ("httpx2", "Client", HttpxDriver),
        ("httpx2", "AsyncClient", HttpxDriver),
    ):
        loaded = sys.modules.get(module)  # a client's own library has been imported by whoever made it
        if loaded is not None and isinstance(client, getattr(loaded, name)):
            return driver(client)
    raise TypeError(f"{type(client).__name__} is not a test client that is known here; see docs/testing.md")


def _auth_in(app: Any) -> object:
    """What verifies in an application, looked for where adapters keep it; through middleware around it."""
    while app is not None:
        flask = sys.modules.get("flask")
        if flask is not None and isinstance(app, flask.Flask):
            from ..flask.views import auth_of

            return auth_of(app)
        state: Any = getattr(app, "state", None)
        found = state.get(STATE_KEY) if hasattr(state, "get") else getattr(state, STATE_KEY, None)
        found = found or getattr(app, "auth", None)
        if found is not None:
            return found
        app = getattr(app, "app", None)
    return None
