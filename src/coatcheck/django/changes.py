"""What happens to Django's users happens to their sessions: a new password, a deactivation, a change of rights or of
the address.

Django's signals tell. What was written counts first, and sessions are stepped after it: after the transaction has been
committed, for a request that looks in between must find the new state. So a change that is rolled back ends nothing.
When the sessions' store does not answer then, ``save()`` raises `StoreUnavailable`: the user *has* been changed, and
the sessions have not; ``manage.py coatcheck_revoke --user NAME`` does what is missing.

No signal tells of ``QuerySet.update``, ``bulk_update``, ``bulk_create`` over rows that are there and SQL by hand, nor
of a model from which ``AUTH_USER_MODEL`` inherits. After these call `user_changed` or `cut_off`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, models, router, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from ..auth import Auth
from ..blocking import Auth as BlockingAuth
from ..errors import Conflict, InvalidCredential, InvalidLogin, NotFound
from ..issuer import Credentials
from ..model import Identity, Mode
from .conf import made
from .requests import arrival_of
from .users import DjangoUsers, key_of

Change = Callable[[Auth, str, Identity | None], Awaitable[Credentials | None]]
"""Given the subject and who is asking; the credentials are for the answer to them."""

_RIGHTS: Final = ("is_active", "is_staff", "is_superuser")
_BEFORE: Final = "_coatcheck_before"
"""Attribute of an instance while it is saved: the row's values of before."""


def user_changed(*users: Any) -> None:
    """Make changed roles, claims, address or status of these users count, once the transaction is committed that is
    open. Their access tokens of before are refused as stale, and their sessions see the new facts at the next request.
    """
    _after_commit(_subjects(users), _step, _alias(users))


def cut_off(*users: Any) -> None:
    """End all sessions of these users, once the transaction is committed that is open."""
    _after_commit(_subjects(users), _end, _alias(users))


def listen() -> None:
    """Connect the signals. The application's start does it."""
    from django.contrib.auth.models import Group

    connected: Iterable[tuple[Any, Any, Any]] = (
        (pre_save, _before_save, None),
        (post_save, _after_save, None),
        (post_delete, _after_delete, None),
        (pre_save, _before_group_save, Group),
        (post_save, _after_group_save, Group),
        (pre_delete, _before_group_delete, Group),
    )
    for signal, receiver, sender in connected:
        signal.connect(receiver, sender=sender, dispatch_uid=f"coatcheck.{receiver.__name__}")
    groups = getattr(get_user_model(), "groups", None)
    if groups is not None:
        m2m_changed.connect(_groups_changed, sender=groups.through, dispatch_uid="coatcheck.groups")


def _before_save(instance: Any, using: str, update_fields: Iterable[str] | None, **_: Any) -> None:
    """Read what the row held, where anything is written that matters. What is added with a key may have a row as well:
    a fixture that is loaded again, a user who becomes one of a model that inherits."""
    key = key_of(instance) if _is_ours(instance) else None
    if key is None:
        return
    names = _watched() if update_fields is None else _watched() & set(update_fields)
    if names:
        rows = get_user_model()._base_manager.using(using).filter(pk=key)
        setattr(instance, _BEFORE, rows.values(*names).first())


def _after_save(instance: Any, using: str, **_: Any) -> None:
    before: dict[str, Any] | None = vars(instance).pop(_BEFORE, None) if _is_ours(instance) else None
    if before is None:  # new, or nothing that matters
        return
    users = _source()
    changed = {name for name, value in before.items() if value != getattr(instance, name)}
    subject = users.subject_of(instance)
    if users.subject_field in changed:
        _after_commit([str(before[users.subject_field])], _end, using)
    if "is_active" in before and not instance.is_active:
        _after_commit([subject], _end, using)
        return
    if "password" in changed:
        _after_commit([subject], _end_and_renew, using)
    if changed - {"password"}:
        _after_commit([subject], _step, using)


def _after_delete(instance: Any, using: str, **_: Any) -> None:
    if _is_ours(instance):
        _after_commit([_source().subject_of(instance)], _end, using)


def _groups_changed(instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_: Any) -> None:
    """``reverse``: users were added to a group and not groups to a user. Who is cleared is known before it only."""
    if action not in ("post_add", "post_remove", "pre_clear") or not _is_bridged():
        return
    if not reverse:
        _after_commit([_source().subject_of(instance)], _step, using)
    elif pk_set is None:
        _after_commit(_members(instance, using), _step, using)
    else:
        users = get_user_model()._default_manager.using(using).filter(pk__in=pk_set)
        _after_commit(_subjects(users), _step, using)


def _before_group_save(instance: Any, using: str, **_: Any) -> None:
    if _is_bridged() and instance.pk is not None:
        rows = type(instance)._base_manager.using(using).filter(pk=instance.pk)
        setattr(instance, _BEFORE, rows.values("name").first())


def _after_group_save(instance: Any, using: str, **_: Any) -> None:
    before = vars(instance).pop(_BEFORE, None)
    if before is not None and before["name"] != instance.name:
        _after_commit(_members(instance, using), _step, using)


def _before_group_delete(instance: Any, using: str, **_: Any) -> None:
    if _is_bridged():
        _after_commit(_members(instance, using), _step, using)


def _after_commit(subjects: list[str], change: Change, using: str) -> None:
    auth = made().knower
    if subjects and isinstance(auth, BlockingAuth):
        transaction.on_commit(partial(_carry_out, auth, change, subjects), using=using)


def _carry_out(auth: BlockingAuth, change: Change, subjects: list[str]) -> None:
    from .forms import hand_out
    from .middleware import asking

    request = asking.get()
    arrival = arrival_of(request) if request is not None else None
    names = arrival.renewable if arrival is not None and not arrival.drops_cookies else None
    own = getattr(request, "identity", None) if names is not None else None

    async def all_of_them(inner: Auth) -> list[Credentials | None]:
        return [await change(inner, subject, own) for subject in subjects]

    for credentials in auth.run(all_of_them):
        if credentials is not None and request is not None and names is not None:
            hand_out(request, auth, names, credentials)


async def _step(auth: Auth, subject: str, own: Identity | None) -> None:
    await auth.revocation.subject_changed(subject)


async def _end(auth: Auth, subject: str, own: Identity | None) -> None:
    await auth.revocation.revoke_subject(subject)


async def _end_and_renew(auth: Auth, subject: str, own: Identity | None) -> Credentials | None:
    """All, and for whoever changes their own password a new one, as Django's `PasswordChangeView` does it: a copy of
    the old cookie is worth nothing. Where they came with a token there is no cookie to hand a new one out with."""
    if own is None or own.subject != subject or own.mode is not Mode.SESSION:
        await auth.revocation.revoke_subject(subject)
        return None
    try:
        epoch = await auth.revocation.revoke_subject(subject, excepted=own.session_id)
        # Nobody here has seen the password typed, so the session is as old as it was.
        return await auth.issuer.reauthenticate(
            own.session_id, epoch=epoch, amr=own.amr, auth_time=own.auth_time
        )  # fmt: skip
    except NotFound:  # ended meanwhile
        await auth.revocation.revoke_subject(subject)
    except (Conflict, InvalidCredential, InvalidLogin):  # ended meanwhile, or deactivated in the same transaction
        pass
    return None


def _members(group: Any, using: str) -> list[str]:
    return _subjects(get_user_model()._default_manager.using(using).filter(groups=group.pk))


def _subjects(users: Iterable[Any]) -> list[str]:
    source = _source()
    return [source.subject_of(user) for user in users]


def _alias(users: tuple[Any, ...]) -> str:
    return router.db_for_write(type(users[0])) if users else DEFAULT_DB_ALIAS


def _watched() -> set[str]:
    """What ends sessions, or changes rights or what `Auth.profile` tells, of the fields that the model has. Another
    field may matter to a ``facts`` of the application's own: then it calls `user_changed`."""
    model: Any = get_user_model()
    subject = _source().subject_field
    profile = (getattr(model, "EMAIL_FIELD", "email"), model.USERNAME_FIELD)
    fields = {field.attname for field in model._meta.concrete_fields}
    return fields & {"password", *_RIGHTS, *profile, *(() if subject == "pk" else (subject,))}


def _is_ours(instance: models.Model) -> bool:
    return isinstance(instance, get_user_model()) and _is_bridged()


def _is_bridged() -> bool:
    return isinstance(made().users, DjangoUsers)


def _source() -> DjangoUsers:
    users = made().users
    if not isinstance(users, DjangoUsers):
        raise TypeError("these are not Django's users")
    return users
