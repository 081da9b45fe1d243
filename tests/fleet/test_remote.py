"""A service without a database, beside every kind of deployment."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck import InvalidCredential, Mode
from tests.fleet.conftest import Deployment
from tests.support.issuer import issuing, presented, until

SUBJECTS = 8
"""So that several shards are written, where there are shards."""


async def test_remote_verifier(deployment: Deployment) -> None:
    """Two issuing processes and a remote verifier of each: what one revokes is refused at both, what lives goes on."""
    async with (
        issuing(auth=deployment.process()) as one,
        issuing(auth=deployment.process()) as two,
        one.remote() as near,
        two.remote() as far,
    ):
        accounts = [await one.auth.accounts.register(f"s{n}@example.test", "nine brown owls") for n in range(SUBJECTS)]
        kept = presented(await one.auth.login(accounts[0].id, mode=Mode.JWT))
        ended = [await one.auth.login(account.id, mode=Mode.JWT) for account in accounts]
        for remote in (near, far):
            await asyncio.gather(*(remote.verify(presented(made)) for made in ended), remote.verify(kept))
        await one.auth.keys.rotate(at_once=True)
        for made in ended:
            await one.auth.revoke(made.session.id)
        for remote in (near, far):
            await until(lambda remote=remote: all(remote.known(presented(made).key) is None for made in ended))
            for made in ended:
                with pytest.raises(InvalidCredential):
                    await remote.verify(presented(made))
            assert (await remote.verify(kept)).subject == accounts[0].id
            assert (await remote.verify(presented(await two.auth.login(accounts[1].id, mode=Mode.JWT)))).subject
