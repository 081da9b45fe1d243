"""What the adapter of ``docs/custom.md`` has that the behaviour suite does not ask of everybody."""

from __future__ import annotations

from coatcheck import Mode
from coatcheck.testing.clock import TravelClock
from tests.adapters.apps.aiohttp import serving
from tests.adapters.suite.contract import Setting
from tests.docs.pages import ROOT, blocks_of

HANDSHAKE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


async def test_a_handshake_shows_where_it_comes_from() -> None:
    """A WebSocket that rides on a cookie is opened by our own pages only, though it is a GET; other GETs are free."""
    async with serving(Setting(TravelClock())) as site:
        account = await site.run(lambda auth: auth.accounts.register("ann@example.com", "nine brown owls"))
        made = await site.run(lambda auth: auth.login(account.id, mode=Mode.SESSION))
        cookie, evil = ("Cookie", f"__Host-coatcheck={made.session_token}"), ("Origin", "https://evil.example")
        for headers, status in [
            ([*HANDSHAKE, cookie, ("Origin", "https://app.example")], 200),
            ([*HANDSHAKE, cookie, evil], 403),
            ([*HANDSHAKE, cookie], 403),
            ([*HANDSHAKE, evil], 200),
            ([cookie, evil], 200),
        ]:
            assert (await site.request("GET", "/open", headers=headers)).status == status, headers


def test_the_page_keeps_its_word() -> None:
    """About 30 lines."""
    (adapter,) = [block for block in blocks_of(ROOT / "docs" / "custom.md") if block.name == "adapter.py"]
    assert len([line for line in adapter.text.splitlines() if line.strip()]) <= 30
