"""What is done at a test client, written once for those that are awaited and those that are not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from .. import arguments
from ..auth import Auth
from ..blocking import Auth as BlockingAuth
from ..issuer import Credentials
from ..model import Mode
from .admission import admitted, aged
from .drivers import Driver, driver_of
from .temporary import refuse_real

T = TypeVar("T")
AnyAuth = Auth | BlockingAuth


@dataclass(frozen=True, slots=True)
class _Held:
    """Who is logged in at a client, and what it was given."""

    auth: AnyAuth
    credentials: Credentials
    cookies: tuple[tuple[str, str], ...]
    """Names and paths."""


_held: WeakKeyDictionary[object, _Held] = WeakKeyDictionary()


def done(driver: Driver, work: Coroutine[Any, Any, T]) -> Any:
    """The work itself for a client that is awaited. With any other nothing in it ever waits, so it is done at once."""
    if driver.is_async:
        return work
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a client that is not awaited has waited")


async def login(
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
    refuse_real(auth if isinstance(auth, Auth) else auth._life.inner)
    chosen = auth.policy.modes[0] if mode is None else arguments.member(Mode, mode, "mode")
    names = None if chosen is Mode.JWT else driver.cookie_names()
    await leave(client)

    async def work(auth: Auth) -> Credentials:
        refuse_real(auth)  # that of threads may have been started just now
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


async def leave(client: object) -> None:
    held = _held.pop(client, None)
    if held is None:
        return
    driver = driver_of(client)
    driver.put_header("Sec-Fetch-Site" if held.cookies else "Authorization", None)
    for name, path in held.cookies:
        driver.drop_cookie(name, path=path)
    await _revoke(driver, held.auth, held.credentials)


async def refused_after_revoke(
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

    await leave(client)
    status = await ask()
    _expect(status == 401, f"{method} {url} answers {status} to nobody: it is not protected (that would be 401)")
    for each in auth.policy.modes if mode is None else (Mode(mode),):
        made = await login(client, subject, roles, each, True, auth, "/auth")
        for _ in range(2):
            status = await ask()
            accepted = status not in (401, 403) and status < 500
            _expect(accepted, f"{method} {url} answers {status} to {subject!r} in mode {each.value!r}: roles to give?")
        await _revoke(driver, auth, made)
        status = await ask()
        _expect(status == 401, f"{method} {url} still answers {status} once revoked, in mode {each.value!r}")
        await leave(client)


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
        return await auth.arun(work) if driver.is_async else auth.run(work)
    home = auth.follower.loop
    if home is None:
        raise RuntimeError("the application's Auth has stopped")

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
