"""The same for threads: Flask, Django, scripts.

One background thread per process runs an event loop with the asynchronous `coatcheck.Auth` (or `RemoteVerifier`) in it,
started when it is first needed. What is in memory is answered in the calling thread; only what is not goes over. What
becomes of it when the process forks or ends: see `life`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import arguments
from .. import auth as _async
from .. import remote as _remote
from ..accounts import PasswordHasher, PasswordPolicy, Proof
from ..accounts.composition import Given
from ..clock import Clock
from ..credentials.transport import Credential
from ..events import Events
from ..features.base import Feature, checked
from ..issuer import Credentials
from ..logins import Steps
from ..model import ALL_KINDS, PLAIN, Access, Device, Identity, Kind, Mode, Profile
from ..policy import Policy
from ..stores import KeyedSessions, Store, embedded_path
from ..stores.base import SessionStore
from .life import Blocking

__all__ = ["Auth", "RemoteVerifier"]


class Auth(Blocking[_async.Auth], arguments.Named):
    """`coatcheck.Auth` for threads, made with the same arguments.

    A function that is given as ``subjects`` may block: it is called in the thread whose request asks (of an ``async``
    view: in a thread of a pool), so that transactions and whatever else belongs to a thread are the caller's own.

    Making it opens nothing and starts no thread. It is started by the first call that needs it, by `start` or by
    ``with auth:``, and closed by `close`, when nobody holds it any more, or when the process ends.
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
        features: Sequence[Feature] = (),
    ) -> None:
        arguments.kinds_or_none(Policy, policy=policy)
        arguments.kinds_or_none(Clock, clock=clock)
        settled, timed = Policy() if policy is None else policy, Clock() if clock is None else clock

        self.features: tuple[Feature, ...] = checked(features)
        """Capabilities beyond the core."""

        def make() -> _async.Auth:  # not a `partial`, whose repr would show the secrets
            made = _async.Auth(
                url, sessions=sessions, secret=secret, policy=settled, subjects=subjects,
                password_hasher=password_hasher, password_policy=password_policy, clock=timed, features=self.features,
            )  # fmt: skip
            made.events, made.steps = self.events, self.steps
            return made

        self.steps: Steps = Steps()
        """The second factors that there are. One is added before the start."""
        self.events: Events = Events(timed.now, settled.event_addresses)
        """What happens to accounts, sessions and keys. Subscribers are called in the thread of the event loop, or in
        that of a request, and go along when the process is forked."""
        for feature in self.features:
            for step in feature.steps():
                self.steps.add(step)
            self.events.subscribe(feature.happened)
        super().__init__(make, _bound(url, sessions))

    @property
    def has_accounts(self) -> bool:
        """Whether Coatcheck keeps the accounts, as it does unless ``subjects`` was given."""
        return self._life.inner.has_accounts

    @property
    def has_logins(self) -> bool:
        """Whether Coatcheck checks the passwords, and so can ask somebody for theirs again."""
        return self._life.inner.has_logins

    @property
    def can_authenticate(self) -> bool:
        """Whether `authenticate` can say yes to anybody. See `coatcheck.Auth.can_authenticate`."""
        return self._life.inner.can_authenticate

    def profile(self, identity: Identity) -> Profile:
        """See `coatcheck.Auth.profile`. What is known is told in the calling thread."""
        arguments.kinds(Identity, identity=identity)
        behind = getattr(identity, "_get_current_object", None)
        own: Identity = identity if behind is None else behind()  # Flask's `current_user` only stands for one
        known = self.start()._life.inner.profiles.known(own)
        return known or self.run(lambda auth: auth.profile(own))

    def csrf_token(self, session_id: str) -> str:
        """A CSRF token for this session's forms. See `OpaqueTokens.csrf_token`."""
        return self.start()._life.inner.opaque.csrf_token(session_id)

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite` unless this is the session's CSRF token."""
        self.start()._life.inner.check_csrf_token(token, session_id)

    def authenticate(self, name: str, password: str, *, ip: str = "") -> Proof:
        """See `coatcheck.Auth.authenticate`."""
        return self.run(lambda auth: auth.authenticate(name, password, ip=ip))

    def login(
        self,
        subject: str,
        *,
        mode: Mode | str | None = None,
        epoch: int | None = None,
        remember: bool = False,
        device: Device | None = None,
        amr: tuple[str, ...] = ("pwd",),
        auth_time: float | None = None,
        data: Mapping[str, Any] | None = None,
        access: Access = PLAIN,
        expires: float | None = None,
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
                access=access,
                expires=expires,
            )
        )

    def finish_login(
        self,
        attempt: str,
        *,
        method: str,
        code: str = "",
        credential: Mapping[str, Any] | None = None,
        device: Device | None = None,
        data: Mapping[str, Any] | None = None,
        ip: str = "",
    ) -> Credentials:
        """See `coatcheck.Auth.finish_login`."""
        return self.run(
            lambda auth: auth.finish_login(
                attempt, method=method, code=code, credential=credential, device=device, data=data, ip=ip
            )
        )

    def invite(self, email: str, *, roles: Iterable[str] = (), lifetime: float = 604800.0) -> str:
        """See `coatcheck.Auth.invite`."""
        return self.start()._life.inner.invite(email, roles=roles, lifetime=lifetime)

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

    def revoke_subject(
        self, subject: str, *, kinds: Iterable[Kind | str] = ALL_KINDS, excepted: str | None = None, wait: bool = False
    ) -> None:
        """See `coatcheck.Auth.revoke_subject`."""
        self.run(lambda auth: auth.revoke_subject(subject, kinds=kinds, excepted=excepted, wait=wait))

    def subject_changed(self, subject: str) -> None:
        """See `coatcheck.Auth.subject_changed`."""
        self.run(lambda auth: auth.subject_changed(subject))


class RemoteVerifier(Blocking[_remote.RemoteVerifier], arguments.Named):
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
        arguments.kinds_or_none(Policy, policy=policy)
        arguments.kinds_or_none(Clock, clock=clock)
        settled, timed = Policy() if policy is None else policy, Clock() if clock is None else clock

        def make() -> _remote.RemoteVerifier:  # as above
            made = _remote.RemoteVerifier(
                url, service_key=service_key, policy=settled, timeout=timeout, key_cooldown=key_cooldown, tls=tls,
                allow_plain_http=allow_plain_http, clock=timed,
            )  # fmt: skip
            made.events = self.events
            return made

        self.events: Events = Events(timed.now, settled.event_addresses)
        """What is refused here. See `Auth.events`."""
        super().__init__(make)

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite`, always. See `coatcheck.RemoteVerifier.check_csrf_token`."""
        self._life.inner.check_csrf_token(token, session_id)


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
