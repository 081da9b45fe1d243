"""The same for threads: Flask, Django, scripts.

One background thread per process runs an event loop with the asynchronous `coatcheck.Auth` (or `RemoteVerifier`) in it,
started when it is first needed. What is in memory is answered in the calling thread; only what is not goes over.

A process that forks takes none of it along. Before a fork the loop ends and every connection is closed (a SQLite file
that is open cannot be used on the other side, not even by opening it anew: SQLite takes the parent's locks for its
own), and after it parent and child start again when they need to. Where nobody tells us of a fork, since it was made in
C, the child finds out by its process id, lets everything of the parent's lie untouched, and starts its own.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import logging
import os
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from contextvars import Context
from functools import partial
from typing import Any, Final, Generic, Self, TypeVar
from weakref import WeakSet

from . import auth as _async
from . import remote as _remote
from .accounts import Authenticated, PasswordHasher, PasswordPolicy
from .accounts.composition import Given
from .background import Background
from .clock import Clock
from .credentials.transport import Credential
from .errors import CoatcheckError, ConfigurationError, StoreUnavailable
from .issuer import Credentials
from .model import Device, Identity, Mode
from .policy import Policy
from .stores import KeyedSessions, Store, embedded_path
from .stores.base import SessionStore
from .verifier import Known

log = logging.getLogger("coatcheck.blocking")

T = TypeVar("T")
Inner = TypeVar("Inner", _async.Auth, _remote.RemoteVerifier)

_CLOSE_LIMIT: Final = 10.0
"""Seconds for `close`, after which a loop that is stuck is left to itself."""
_EXIT_LIMIT: Final = 5.0
"""Seconds for the same at the end of the process and before a fork."""


class _Life(Generic[Inner]):
    """What there is of an object in one process."""

    def __init__(self, inner: Inner, spoilt: str = "") -> None:
        self.inner: Inner = inner
        self.lock = threading.Lock()
        """Held by whoever starts or ends it."""
        self.background: Background | None = None
        """The thread, from before anything is opened until all is closed."""
        self.running: Background | None = None
        """The same, while it can be worked with."""
        self.spoilt: str = spoilt
        """Why it cannot be started in this process, if so."""
        self.tries: int = 0
        self.failure: str = ""
        """What the last try to start met, if the store did not answer."""

    def let_lie(self) -> None:
        """Have nobody touch it again, not even the garbage collector at the end of the process: that would close what
        another process or a thread of this one still works with."""
        if self.background is not None:
            for thing in (self.inner, self.background):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class _Blocking(Generic[Inner]):
    """What both have in common: a loop in a thread, and verification.

    ``make`` gives the asynchronous object, again in each process that has been forked. ``bound``: why what was open
    before a fork cannot be opened after it; empty when it can."""

    def __init__(self, make: Callable[[], Inner], bound: str = "") -> None:
        inner = make()
        self.policy: Policy = inner.policy
        self.clock: Clock = inner.clock
        self.known: Known = _nothing
        """`AccessVerifier.known` while it runs: the hit path, in the calling thread, without a detour."""
        self._make: Callable[[], Inner] = make
        self._bound = bound
        self._lives: dict[int, _Life[Inner]] = {os.getpid(): _Life(inner)}
        """By process id: that of this process, and those of the ones it was forked from."""
        self._held: _Life[Inner] | None = None
        _all.add(self)

    def __repr__(self) -> str:
        return f"<blocking {self._life.inner!r}>"

    def verify(self, credential: Credential) -> Identity:
        """The identity. Raises `InvalidCredential` or `StoreUnavailable`."""
        return self.known(credential.key) or self.run(lambda inner: inner.verify(credential))

    def run(self, work: Callable[[Inner], Awaitable[T]]) -> T:
        """Await something in the background loop: ``auth.run(lambda auth: auth.accounts.register(email, password))``.
        Starts everything if it has not been.

        Raises what it raises, what `start` raises, `StoreUnavailable` when the loop is stuck or ends meanwhile, and
        `RuntimeError` in the background loop itself. A caller who is interrupted leaves, and the work is cancelled."""
        life = self._life
        return self._started(life).run(lambda: work(life.inner))

    async def arun(self, work: Callable[[Inner], Awaitable[T]]) -> T:
        """`run` for asynchronous code in another event loop, which goes on meanwhile: ``async def`` views."""
        life = self._life
        background = life.running
        if background is None:
            background = await asyncio.to_thread(self._started, life)
        return await background.arun(lambda: work(life.inner))

    def start(self) -> Self:
        """Start now and not at the first request, so that a wrong setting is told at once. Idempotent.

        Raises `ConfigurationError` or `StoreUnavailable`; nothing is left behind then, and the next call tries again.
        """
        self._started(self._life)
        return self

    def close(self) -> None:
        """Write what is unwritten, close the stores, end the thread. Idempotent; the next call starts again. Calls
        under way have a second to end, then they raise `StoreUnavailable`.

        Raises `StoreUnavailable` when it takes longer than 10 s: something blocks the loop, and it is left to itself.
        """
        life = self._life
        _refuse_inside(life)
        with life.lock:
            self._end(life, _CLOSE_LIMIT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def _life(self) -> _Life[Inner]:
        return self._lives.get(os.getpid()) or self._begin_life()

    def _begin_life(self) -> _Life[Inner]:
        """In a process that has been forked. No lock: in the parent somebody may have held it, who is not here to
        release it. What the first thread puts there counts for all."""
        spoilt = self._leave_parent()
        return self._lives.setdefault(os.getpid(), _Life(self._make(), spoilt))

    def _leave_parent(self) -> str:
        """Let lie what is not this process's. Why it cannot start then, if so."""
        foreign = [life for pid, life in tuple(self._lives.items()) if pid != os.getpid()]
        was_open = any(life.background is not None for life in foreign)
        for life in foreign:
            life.let_lie()
        return self._bound if was_open else ""

    def _started(self, life: _Life[Inner]) -> Background:
        if life.running is not None:
            return life.running
        tries = life.tries
        _refuse_inside(life)
        with life.lock:
            if life.running is not None:
                return life.running
            if tries != life.tries and life.failure:  # tried while this thread stood in line
                raise StoreUnavailable(life.failure)
            return self._begin(life)

    def _begin(self, life: _Life[Inner]) -> Background:
        """Start, with the lock held."""
        if _process_ends.is_set():
            raise StoreUnavailable("the process is ending")
        if life.spoilt:
            raise ConfigurationError(life.spoilt)
        self._end(life, _CLOSE_LIMIT)  # should whoever ended it have been interrupted
        # In a context of its own: all this outlives the request that happens to be the first.
        alone = Context()
        background = life.background = alone.run(Background, "coatcheck")
        life.failure = ""
        life.tries += 1
        try:
            alone.run(background.run, life.inner.start)
        except BaseException as error:
            if isinstance(error, StoreUnavailable):
                life.failure = str(error)
            self._end(life, _CLOSE_LIMIT)
            raise
        _running.add(self)
        life.running, self.known = background, life.inner.known
        return background

    def _end(self, life: _Life[Inner], limit: float) -> None:
        """End, with the lock held. Whoever calls meanwhile meets a loop that ends, and does not start another one."""
        self.known, life.running = _nothing, None
        background = life.background
        if background is None:
            return
        if not background.stop(life.inner.close, limit):
            life.let_lie()
            life.background, life.spoilt = None, "something blocks the background loop for ever; restart this process"
            raise StoreUnavailable("the background loop does not end: something blocks it")
        life.background = None
        _running.discard(self)
        background.farewell()

    def _prepare_fork(self, give_up: float) -> None:
        """End, for what is open does not outlive a fork on both sides."""
        life = self._lives.get(os.getpid())
        if life is None or not life.lock.acquire(timeout=max(0.0, give_up - time.monotonic())):
            return  # somebody is starting or ending it: it goes on here, and the child lets it lie
        self._held = life
        if life.background is None or life.background.is_here():
            return
        try:
            self._end(life, max(0.1, give_up - time.monotonic()))
        except CoatcheckError as error:
            log.warning("not closed before a fork: %s", error)

    def _after_fork(self, *, is_child: bool) -> None:
        held, self._held = self._held, None
        if is_child:
            self.known = _nothing
        elif held is not None:
            held.lock.release()

    def _exit(self) -> None:
        """At the end of the process."""
        self._leave_parent()
        life = self._lives.get(os.getpid())
        if life is None or not life.lock.acquire(timeout=_EXIT_LIMIT):
            return
        try:
            self._end(life, _EXIT_LIMIT)
        except CoatcheckError as error:
            log.warning("not closed at the end of the process: %s", error)
        finally:
            life.lock.release()


class Auth(_Blocking[_async.Auth]):
    """`coatcheck.Auth` for threads, made with the same arguments.

    A function that is given as ``subjects`` may block: it is called in the thread whose request asks (of an ``async``
    view: in a thread of a pool), so that transactions and whatever else belongs to a thread are the caller's own.

    Making it opens nothing and starts no thread. It is started by the first call that needs it, by `start` or by
    ``with auth:``, and closed by `close` or when the process ends.
    """

    def __init__(
        self,
        url: str | Store | KeyedSessions = "sqlite:///coatcheck.db",
        *,
        sessions: str | SessionStore | None = None,
        secret: str | bytes | Sequence[str | bytes] | None = None,
        policy: Policy | None = None,
        subjects: Given = None,
        password_hasher: PasswordHasher | None = None,
        password_policy: PasswordPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        settled, timed = policy or Policy(), clock or Clock()

        def make() -> _async.Auth:  # not a `partial`, whose repr would show the secrets
            return _async.Auth(
                url, sessions=sessions, secret=secret, policy=settled, subjects=subjects,
                password_hasher=password_hasher, password_policy=password_policy, clock=timed,
            )  # fmt: skip

        super().__init__(make, _bound(url, sessions))

    @property
    def has_accounts(self) -> bool:
        """Whether Coatcheck keeps the accounts, as it does unless ``subjects`` was given."""
        return self._life.inner.has_accounts

    @property
    def can_authenticate(self) -> bool:
        """Whether `authenticate` can say yes to anybody. See `coatcheck.Auth.can_authenticate`."""
        return self._life.inner.can_authenticate

    def csrf_token(self, session_id: str) -> str:
        """A CSRF token for this session's forms. See `OpaqueTokens.csrf_token`."""
        return self.start()._life.inner.opaque.csrf_token(session_id)

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite` unless this is the session's CSRF token."""
        self.start()._life.inner.check_csrf_token(token, session_id)

    def authenticate(self, name: str, password: str, *, ip: str = "") -> Authenticated:
        """See `coatcheck.Auth.authenticate`."""
        return self.run(lambda auth: auth.authenticate(name, password, ip=ip))

    def login(
        self,
        subject: str,
        *,
        mode: Mode | None = None,
        epoch: int | None = None,
        remember: bool = False,
        device: Device | None = None,
        amr: tuple[str, ...] = ("pwd",),
        auth_time: float | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Credentials:
        """See `coatcheck.Auth.login`."""
        return self.run(
            lambda auth: auth.login(
                subject,
                mode=mode,
                epoch=epoch,
                remember=remember,
                device=device,
                amr=amr,
                auth_time=auth_time,
                data=data,
            )
        )

    def epoch_of(self, subject: str) -> int:
        """See `coatcheck.Auth.epoch_of`."""
        return self.run(lambda auth: auth.epoch_of(subject))

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

    def subject_changed(self, subject: str) -> None:
        """See `coatcheck.Auth.subject_changed`."""
        self.run(lambda auth: auth.subject_changed(subject))


class RemoteVerifier(_Blocking[_remote.RemoteVerifier]):
    """`coatcheck.RemoteVerifier` for threads, made with the same arguments. It starts and ends as `Auth` does."""

    def __init__(
        self,
        url: str,
        *,
        service_key: str,
        policy: Policy | None = None,
        timeout: float = 5.0,
        key_cooldown: float = 10.0,
        tls: ssl.SSLContext | None = None,
        allow_plain_http: bool = False,
        clock: Clock | None = None,
    ) -> None:
        settled, timed = policy or Policy(), clock or Clock()

        def make() -> _remote.RemoteVerifier:  # as above
            return _remote.RemoteVerifier(
                url, service_key=service_key, policy=settled, timeout=timeout, key_cooldown=key_cooldown, tls=tls,
                allow_plain_http=allow_plain_http, clock=timed,
            )  # fmt: skip

        super().__init__(make)

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite`, always. See `coatcheck.RemoteVerifier.check_csrf_token`."""
        self._life.inner.check_csrf_token(token, session_id)


_all: Final[WeakSet[_Blocking[Any]]] = WeakSet()
_running: Final[set[_Blocking[Any]]] = set()
"""Kept until they are closed, though nobody else may hold them any more."""
_process_ends: Final = threading.Event()


def _nothing(key: str) -> Identity | None:
    """The hit path of what does not run."""
    return None


def _bound(*places: object) -> str:
    for place in places:
        if isinstance(place, str) and embedded_path(place) is not None:
            what = "an open SQLite file cannot be carried over"
        elif place is not None and not isinstance(place, str):
            what = "an open store cannot be carried over"
        else:
            continue
        return f"this was running when the process was forked, and {what}: call start() after the fork and not before"
    return ""


def _refuse_inside(life: _Life[Any]) -> None:
    if life.background is not None and life.background.is_here():
        raise RuntimeError("this would wait for the event loop that it runs in, for ever: await the asynchronous one")


def _everyone() -> list[_Blocking[Any]]:
    while True:
        with suppress(RuntimeError):  # another thread has made one meanwhile
            return list(_all)


def _before_fork() -> None:
    give_up = time.monotonic() + _EXIT_LIMIT
    for each in _everyone():
        each._prepare_fork(give_up)


def _after_fork(is_child: bool) -> None:
    for each in _everyone():
        each._after_fork(is_child=is_child)


def _at_exit() -> None:
    _process_ends.set()
    with ExitStack() as steps:  # one that fails skips no other
        for each in _everyone():
            steps.callback(each._exit)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # everywhere but on Windows, where nothing forks
    os.register_at_fork(
        before=_before_fork, after_in_parent=partial(_after_fork, False), after_in_child=partial(_after_fork, True)
    )

__all__ = ["Auth", "RemoteVerifier"]
