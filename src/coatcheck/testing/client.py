"""Somebody logged in at a test client: ``login_as(client, "ann", roles=["admin"])``.

With a client whose requests are awaited, all three functions are awaited too. ``auth`` is the application's `Auth`, of
either kind; it is found by itself where the application is in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, overload
from weakref import WeakKeyDictionary

from ..auth import Auth
from ..blocking import Auth as BlockingAuth
from ..issuer import Credentials
from ..model import Mode
from .admission import admitted, aged
from .drivers import Driver, driver_of

T = TypeVar("T")
AnyAuth = Auth | BlockingAuth


class AsyncClient(Protocol):
    """A client whose requests are awaited: httpx, Litestar's ``AsyncTestClient``, Django's ``AsyncClient``."""

    def get(self, url: Any, /) -> Coroutine[Any, Any, Any]: ...


class Client(Protocol):
    """Any other: httpx, the test clients of Starlette, FastAPI, Litestar and Flask, Django's ``Client``."""

    def get(self, url: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Held:
    """Who is logged in at a client, and what it was given."""

    auth: AnyAuth
    credentials: Credentials
    cookies: tuple[tuple[str, str], ...]
    """Names and paths."""


_held: WeakKeyDictionary[object, _Held] = WeakKeyDictionary()


@overload
def login_as(  # pyright: ignore[reportOverlappingOverload] - no client is of both kinds
    client: AsyncClient,
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

    Raises `InvalidLogin` for a subject that may not log in, `ValueError` where the client's base URL allows no cookies.
    """
    return _await(driver_of(client), _login(client, subject, roles, mode, fresh, auth, mount))


@overload
def logout(client: AsyncClient) -> Awaitable[None]: ...  # pyright: ignore[reportOverlappingOverload] - as above
@overload
def logout(client: Client) -> None: ...
def logout(client: Any) -> Any:
    """End the session that `login_as` made for this client, and let the client forget it. Nobody there: nothing."""
    return _await(driver_of(client), _logout(client))


@overload
def assert_refused_after_revoke(  # pyright: ignore[reportOverlappingOverload] - as above
    client: AsyncClient,
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
    return _await(driver_of(client), _refused_after_revoke(client, method, url, subject, roles, mode, auth, request))


def _await(driver: Driver, work: Coroutine[Any, Any, T]) -> Any:
    """The work itself for a client that is awaited. With any other nothing in it ever waits, so it is done at once."""
    if driver.is_async:
        return work
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("a client that is not awaited has waited")


async def _login(
    client: object,
    subject: str,
    roles: Iterable[str] | None,
    mode: Mode | str | None,
    fresh: bool,
    auth: AnyAuth | None,
    mount: str,
) -> Credentials:
    driver = driver_of(client)
    auth = auth or _auth_of(driver)
    chosen = auth.policy.modes[0] if mode is None else Mode(mode)
    names = None if chosen is Mode.JWT else driver.cookie_names()
    await _logout(client)

    async def work(auth: Auth) -> Credentials:
        made = await auth.login(await admitted(auth, subject, roles), mode=chosen)
        return made if fresh else await aged(auth, made)

    made = await _in_its_loop(driver, auth, work)
    cookies = []
    if names is None:
        driver.put_header("Authorization", f"Bearer {made.access_token}")
    else:
        driver.put_header("Sec-Fetch-Site", "same-origin")
        for name, value, path in (
            (names.session, made.session_token, "/"),
            (names.access, made.access_token, "/"),
            (names.refresh, made.refresh_token, f"{mount}/refresh"),
        ):
            if value is not None:
                driver.put_cookie(name, value, path=path, secure=names.secure)
                cookies.append((name, path))
    _held[client] = _Held(auth, made, tuple(cookies))
    return made


async def _logout(client: object) -> None:
    held = _held.pop(client, None)
    if held is None:
        return
    driver = driver_of(client)
    driver.put_header("Sec-Fetch-Site" if held.cookies else "Authorization", None)
    for name, path in held.cookies:
        driver.drop_cookie(name, path=path)
    await _revoke(driver, held.auth, held.credentials)


async def _refused_after_revoke(
    client: object,
    method: str,
    url: str,
    subject: str,
    roles: Iterable[str] | None,
    mode: Mode | str | None,
    auth: AnyAuth | None,
    request: dict[str, Any],
) -> None:
    driver = driver_of(client)
    auth = auth or _auth_of(driver)
    roles = None if roles is None else tuple(roles)

    async def ask() -> int:
        answer = driver.request(method, url, dict(request))
        return int((await answer if driver.is_async else answer).status_code)

    await _logout(client)
    status = await ask()
    _expect(status == 401, f"{method} {url} answers {status} to nobody: it is not protected (that would be 401)")
    for each in auth.policy.modes if mode is None else (Mode(mode),):
        made = await _login(client, subject, roles, each, True, auth, "/auth")
        for _ in range(2):
            status = await ask()
            accepted = status not in (401, 403) and status < 500
            _expect(accepted, f"{method} {url} answers {status} to {subject!r} in mode {each.value!r}: roles to give?")
        await _revoke(driver, auth, made)
        status = await ask()
        _expect(status == 401, f"{method} {url} still answers {status} once revoked, in mode {each.value!r}")
        await _logout(client)


def _expect(fact: bool, text: str) -> None:
    if not fact:
        raise AssertionError(text)


async def _revoke(driver: Driver, auth: AnyAuth, made: Credentials) -> None:
    await _in_its_loop(driver, auth, lambda auth: auth.revoke(made.session.id))


def _auth_of(driver: Driver) -> AnyAuth:
    found = driver.auth()
    if isinstance(found, Auth | BlockingAuth):
        return found
    what = "only verifies" if found is not None else "cannot be found (is the client's application running?)"
    raise ValueError(f"what this application has {what}: pass auth=..., the Auth that issues for it")


async def _in_its_loop(driver: Driver, auth: AnyAuth, work: Callable[[Auth], Awaitable[T]]) -> T:
    """Run something where the `Auth` lives: in a thread of its own, in that of a test client, or here."""
    if isinstance(auth, BlockingAuth):
        return auth.run(work)
    following = auth.follower._task
    if following is None:
        raise RuntimeError("the application is not running: enter its client (`with TestClient(app) as client`)")
    home = following.get_loop()

    async def there() -> T:
        return await work(auth)

    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if home is here:
        if not driver.is_async:
            raise RuntimeError("this Auth runs in the event loop of the test: use a client that is awaited")
        return await there()
    asked = asyncio.run_coroutine_threadsafe(there(), home)
    return await asyncio.wrap_future(asked) if driver.is_async else asked.result()
