"""The same for threads: Flask, Django, scripts.

One background thread per process runs an event loop with the asynchronous `coatcheck.Auth` (or `RemoteVerifier`) in it,
started when it is first needed. What is in memory is answered in the calling thread; only what is not goes over.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Self, TypeVar

from . import auth as _async
from . import remote as _remote
from .clock import Clock
from .credentials.transport import Credential
from .issuer import Credentials
from .model import Device, Identity, Mode
from .policy import Policy

T = TypeVar("T")
Inner = TypeVar("Inner", _async.Auth, _remote.RemoteVerifier)


class _Blocking(Generic[Inner]):
    """What both have in common: a loop in a thread, and verification."""

    def __init__(self, inner: Inner) -> None:
        self._inner: Inner = inner
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def __repr__(self) -> str:
        return f"<blocking {self._inner!r}>"

    @property
    def policy(self) -> Policy:
        return self._inner.policy

    @property
    def clock(self) -> Clock:
        return self._inner.clock

    def known(self, key: str) -> Identity | None:
        """`AccessVerifier.known`: the hit path, in the calling thread."""
        return self._inner.known(key) if self._loop is not None else None

    def verify(self, credential: Credential) -> Identity:
        """The identity. Raises `InvalidCredential` or `StoreUnavailable`."""
        return self.known(credential.key) or self.run(lambda inner: inner.verify(credential))

    def run(self, work: Callable[[Inner], Awaitable[T]]) -> T:
        """Await something in the background loop: ``auth.run(lambda auth: auth.accounts.register(email, password))``.
        Starts everything if it has not been. Raises what it raises, and what `start` raises."""
        loop = self._loop or self.start()._running_loop

        async def awaited() -> T:
            return await work(self._inner)

        return asyncio.run_coroutine_threadsafe(awaited(), loop).result()

    async def run_async(self, work: Callable[[Inner], Awaitable[T]]) -> T:
        """As `run`, for a caller in an event loop of its own, which goes on meanwhile: an asynchronous view. A caller
        that is cancelled cancels the work."""
        loop = self._loop or (await asyncio.to_thread(self.start))._running_loop

        async def awaited() -> T:
            return await work(self._inner)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(awaited(), loop))

    def start(self) -> Self:
        """Start now and not at the first request, so that a wrong setting is told at once. Idempotent."""
        with self._starting:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="coatcheck", daemon=True).start()
                asyncio.run_coroutine_threadsafe(self._inner.start(), loop).result()
                self._loop = loop
        return self

    def close(self) -> None:
        """Write what is unwritten, close the stores, end the thread. Idempotent."""
        with self._starting:
            loop, self._loop = self._loop, None
            if loop is not None:
                asyncio.run_coroutine_threadsafe(self._inner.close(), loop).result()
                loop.call_soon_threadsafe(loop.stop)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("not running")
        return self._loop


class Auth(_Blocking[_async.Auth]):
    """`coatcheck.Auth` for threads, made with the same arguments."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(_async.Auth(*args, **settings))

    @property
    def has_accounts(self) -> bool:
        """Whether Coatcheck keeps the accounts, as it does unless ``subjects`` was given."""
        return self._inner.has_accounts

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite` unless this is the session's CSRF token."""
        self.start()._inner.check_csrf_token(token, session_id)

    def csrf_token(self, session_id: str) -> str:
        """A CSRF token for this session's forms. See `OpaqueTokens.csrf_token`."""
        return self.start()._inner.opaque.csrf_token(session_id)

    def login(
        self,
        subject: str,
        *,
        mode: Mode | None = None,
        epoch: int | None = None,
        remember: bool = False,
        device: Device | None = None,
        amr: tuple[str, ...] = ("pwd",),
        data: Mapping[str, Any] | None = None,
    ) -> Credentials:
        """See `coatcheck.Auth.login`."""
        return self.run(
            lambda auth: auth.login(
                subject, mode=mode, epoch=epoch, remember=remember, device=device, amr=amr, data=data
            )
        )

    def refresh(self, token: str) -> Credentials:
        """See `coatcheck.Auth.refresh`."""
        return self.run(lambda auth: auth.refresh(token))

    def logout(self, credential: Credential) -> bool:
        """See `coatcheck.Auth.logout`."""
        return self.run(lambda auth: auth.logout(credential))

    def revoke(self, session_id: str, *, wait: bool = False) -> bool:
        """See `coatcheck.Auth.revoke`."""
        return self.run(lambda auth: auth.revoke(session_id, wait=wait))

    def revoke_subject(self, subject: str, *, excepted: str | None = None, wait: bool = False) -> None:
        """See `coatcheck.Auth.revoke_subject`."""
        self.run(lambda auth: auth.revoke_subject(subject, excepted=excepted, wait=wait))


class RemoteVerifier(_Blocking[_remote.RemoteVerifier]):
    """`coatcheck.RemoteVerifier` for threads, made with the same arguments."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(_remote.RemoteVerifier(*args, **settings))

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite`, always. See `coatcheck.RemoteVerifier.check_csrf_token`."""
        self._inner.check_csrf_token(token, session_id)


__all__ = ["Auth", "RemoteVerifier"]
