"""Somebody logged in at a test client: ``login_as(client, "ann", roles=["admin"])``.

With a client whose requests are awaited, all three functions are awaited too. ``auth`` is the application's `Auth`, of
either kind; it is found by itself where the application is in this process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any, Protocol, overload

from ..issuer import Credentials
from ..model import Mode
from .drivers import driver_of
from .work import AnyAuth, done, leave, login, refused_after_revoke

# Which clients are awaited, for type checkers. They take the first that fits: a library that they cannot see could be
# anything, but what it is entered by stands in the test client's own class.


class Entered(Protocol):
    """A client that is entered with ``with``: httpx's, and those of Starlette, FastAPI, Litestar and Flask."""

    def __enter__(self) -> Any: ...


class Awaited(Protocol):
    """A client whose requests are awaited: httpx's, Litestar's ``AsyncTestClient``, Django's ``AsyncClient``."""

    def get(self, url: Any, /) -> Coroutine[Any, Any, Any]: ...


class Client(Protocol):
    """Any other: Django's ``Client``."""

    def get(self, url: Any, /) -> Any: ...


@overload
def login_as(
    client: Entered,
    subject: str,
    *,
    roles: Iterable[str] | None = None,
    mode: Mode | str | None = None,
    fresh: bool = True,
    auth: AnyAuth | None = None,
    mount: str = "/auth",
) -> Credentials: ...
@overload
def login_as(  # pyright: ignore[reportOverlappingOverload]
    client: Awaited,
    subject: str,
    *,
    roles: Iterable[str] | None = None,
    mode: Mode | str | None = None,
    fresh: bool = True,
    auth: AnyAuth | None = None,
    mount: str = "/auth",
) -> Awaitable[Credentials]: ...
@overload
def login_as(
    client: Client,
    subject: str,
    *,
    roles: Iterable[str] | None = None,
    mode: Mode | str | None = None,
    fresh: bool = True,
    auth: AnyAuth | None = None,
    mount: str = "/auth",
) -> Credentials: ...
def login_as(
    client: Any,
    subject: str,
    *,
    roles: Iterable[str] | None = None,
    mode: Mode | str | None = None,
    fresh: bool = True,
    auth: AnyAuth | None = None,
    mount: str = "/auth",
) -> Any:
    """Log somebody in at a client, in the place of whoever was. Returns the `Credentials`.

    It is a real login of the application's `Auth`; only the password is left out. With Coatcheck's own accounts,
    ``subject`` is the id or the e-mail address of one; where there is none it is made (``ann`` as ``ann@example.com``),
    and ``roles`` become its roles. With an application's own users the subject must be one of them, and ``roles`` are
    what this `Auth` from now on takes theirs for.

    ``mode``: as `Auth.login` has it. The client gets the cookies, named and marked for its base URL, and says of its
    requests that they come from the same origin (``Sec-Fetch-Site``), as a browser does; in mode ``jwt`` it gets the
    Authorization header. ``fresh``: False for a login of a day ago. ``mount``: where the service is.

    Raises `InvalidLogin` for a subject that may not log in, `ValueError` where the client's base URL allows no cookies,
    and `ConfigurationError` for an application on a database that may be the real one, as outside of pytest.
    """
    return done(driver_of(client), login(client, subject, roles, mode, fresh, auth, mount))


@overload
def logout(client: Entered) -> None: ...
@overload
def logout(client: Awaited) -> Awaitable[None]: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def logout(client: Client) -> None: ...
def logout(client: Any) -> Any:
    """End the session that `login_as` made for this client, and let the client forget it. Nobody there: nothing."""
    return done(driver_of(client), leave(client))


@overload
def assert_refused_after_revoke(
    client: Entered,
    method: str,
    url: str,
    *,
    subject: str = "ann",
    roles: Iterable[str] | None = None,
    mode: Mode | str | None = None,
    auth: AnyAuth | None = None,
    **request: Any,
) -> None: ...
@overload
def assert_refused_after_revoke(  # pyright: ignore[reportOverlappingOverload]
    client: Awaited,
    method: str,
    url: str,
    *,
    subject: str = "ann",
    roles: Iterable[str] | None = None,
    mode: Mode | str | None = None,
    auth: AnyAuth | None = None,
    **request: Any,
) -> Awaitable[None]: ...
@overload
def assert_refused_after_revoke(
    client: Client,
    method: str,
    url: str,
    *,
    subject: str = "ann",
    roles: Iterable[str] | None = None,
    mode: Mode | str | None = None,
    auth: AnyAuth | None = None,
    **request: Any,
) -> None: ...
def assert_refused_after_revoke(
    client: Any,
    method: str,
    url: str,
    *,
    subject: str = "ann",
    roles: Iterable[str] | None = None,
    mode: Mode | str | None = None,
    auth: AnyAuth | None = None,
    **request: Any,
) -> Any:
    """Assert that a route is refused (401) to nobody, answers somebody, and is refused again once they are revoked.

    Twice before it is revoked, so that an answer which somebody keeps is found. In each mode of the policy, or the one
    named. ``request`` goes to the client's own way of asking (``json=...``, ``headers=...``). The client is logged out
    before and after. Raises `AssertionError`, which says what was seen.
    """
    return done(driver_of(client), refused_after_revoke(client, method, url, subject, roles, mode, auth, request))
