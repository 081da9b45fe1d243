"""``coatcheck keys``."""

from __future__ import annotations

import pytest

from coatcheck import Mode
from coatcheck.credentials.transport import bearer
from coatcheck.errors import InvalidCredential

from .conftest import Cli, assert_refused


def test_the_first_key_signs(cli: Cli) -> None:
    """The list says which key signs and never shows what is private."""
    done = cli("keys", "list", "--json")
    (key,) = cli.json("keys", "list")["keys"]
    assert key["state"] == "signing"
    assert key["algorithm"] == "ES256"
    assert key["retires_at"] is None
    assert "sealed" not in done.stdout


def test_a_new_key_is_published_before_it_signs(cli: Cli) -> None:
    """The old one goes on signing until the lead is over, and has an end."""
    new = cli.json("keys", "rotate")["key"]
    old, listed = cli.json("keys", "list")["keys"]
    assert listed == new
    assert (old["state"], new["state"]) == ("signing", "next")
    assert new["created_at"] < new["signs_from"] < old["retires_at"]


async def test_a_key_can_sign_at_once_in_processes_that_run(cli: Cli) -> None:
    """With ``--now``, the next token is signed by it; tokens of before still verify."""
    subject = cli.add()["id"]
    async with cli.auth() as auth:
        before = (await auth.login(subject, mode=Mode.JWT)).access_token
        new = cli.json("keys", "rotate", "--now")["key"]
        await auth.follower.catch_up()
        after = (await auth.login(subject, mode=Mode.JWT)).access_token
        assert before is not None
        assert after is not None
        assert auth.access_tokens.keyring.signer(auth.clock.now()).kid == new["kid"]
        for token in (before, after):
            await auth.verify(bearer(token))


async def test_a_withdrawn_key_verifies_nothing(cli: Cli) -> None:
    """Its tokens are refused in processes that run, and there is a key that signs."""
    subject = cli.add()["id"]
    async with cli.auth() as auth:
        token = (await auth.login(subject, mode=Mode.JWT)).access_token
        assert token is not None
        await auth.verify(bearer(token))
        (key,) = cli.json("keys", "list")["keys"]
        assert cli.json("keys", "withdraw", "--", key["kid"]) == {"withdrawn": key["kid"]}
        await auth.follower.catch_up()
        with pytest.raises(InvalidCredential):
            await auth.verify(bearer(token))
    (left,) = cli.json("keys", "list")["keys"]
    assert left["state"] == "signing"
    assert left["kid"] != key["kid"]


def test_an_unknown_key_is_not_found(cli: Cli) -> None:
    """Exit code 1, and the keys stay."""
    before = cli.json("keys", "list")
    assert_refused(cli("keys", "withdraw", "nothing"), 1, "no such key")
    assert cli.json("keys", "list") == before


def test_changing_keys_needs_the_secret(cli: Cli) -> None:
    """Without it nothing can be sealed, and no other secret is made up."""
    (cli.folder / "coatcheck.db.secret").unlink()
    assert_refused(cli("keys", "rotate"), 2, "secret")
    assert cli("keys", "list").returncode == 0
    assert not (cli.folder / "coatcheck.db.secret").exists()
