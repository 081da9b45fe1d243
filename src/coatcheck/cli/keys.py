"""``coatcheck keys``: the signing keys of access tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ..stores.base import SealedKey
from .deployment import Deployment, json_option, run, store_options
from .output import answer, table, timestamp


@click.group("keys", short_help="List, rotate and withdraw signing keys.")
def command() -> None:
    """The keys that sign access tokens."""


@command.command("list")
@store_options
@json_option
def list_(as_json: bool, **where: str | None) -> None:
    """List the keys, oldest first. The private parts are not shown."""

    async def work(deployment: Deployment) -> tuple[Sequence[SealedKey], float]:
        return await deployment.store.keys(), deployment.clock.now()

    keys, now = run(work, **where)
    shown = [_as_key(key, keys, now) for key in keys]
    rows = [[key[name] or "-" for name in ("kid", "algorithm", "state", "signs_from", "retires_at")] for key in shown]
    text = table(("KID", "ALGORITHM", "STATE", "SIGNS FROM", "RETIRES"), rows) if rows else "no keys yet"
    answer({"keys": shown}, as_json=as_json, text=text)


@command.command("rotate")
@click.option("--now", "at_once", is_flag=True, help="Sign with it at once, before caches of the JWKS can know it.")
@store_options
@json_option
def rotate(at_once: bool, as_json: bool, **where: str | None) -> None:
    """Publish a new key, which signs after the policy's key_lead. Older ones verify until their last token has expired.

    Needs the secret. Running processes take it up at once.
    """

    async def work(deployment: Deployment) -> tuple[SealedKey, Sequence[SealedKey], float]:
        kid = await deployment.keys.rotate(at_once=at_once)
        keys = await deployment.store.keys()
        return next(key for key in keys if key.kid == kid), keys, deployment.clock.now()

    key, keys, now = run(work, **where)
    text = f"new {key.algorithm} key {key.kid}, signs from {timestamp(key.signs_from)}"
    answer({"key": _as_key(key, keys, now)}, as_json=as_json, text=text)


@command.command("withdraw")
@click.argument("kid")
@store_options
@json_option
def withdraw(kid: str, as_json: bool, **where: str | None) -> None:
    """Remove the key KID at once: every access token that it signed is refused. For a key that has leaked.

    Needs the secret. When no other key signs, a new one is made. A KID may begin with a dash: put -- before it.
    """

    async def work(deployment: Deployment) -> None:
        await deployment.keys.withdraw(kid)

    run(work, **where)
    answer({"withdrawn": kid}, as_json=as_json, text=f"withdrew {kid}; access tokens that it signed are refused")


def _as_key(key: SealedKey, keys: Sequence[SealedKey], now: float) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": _state(key, keys, now),
        "created_at": timestamp(key.created),
        "signs_from": timestamp(key.signs_from),
        "retires_at": None if key.retires is None else timestamp(key.retires),
    }


def _state(key: SealedKey, keys: Sequence[SealedKey], now: float) -> str:
    if key.retires is not None and key.retires <= now:
        return "retired"
    if key.signs_from > now:
        return "next"
    signing = [other for other in keys if other.signs_from <= now]
    newest = max(signing, key=lambda other: (other.signs_from, other.created))
    return "signing" if newest is key else "verifying"
