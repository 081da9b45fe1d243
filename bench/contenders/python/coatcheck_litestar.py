"""Litestar with Coatcheck: ``coatcheck_litestar.py session | jwt | jwt-cookie``. See docs/litestar.md."""

from __future__ import annotations

import bare_litestar
from litestar import Litestar, get
from shared import HELLO, run, serve
from with_coatcheck import logging_in, make_auth

from coatcheck.litestar import CurrentUser, ServicePlugin


@get("/")
async def hello(current_user: CurrentUser) -> dict[str, object]:
    return HELLO


auth = make_auth()
app = Litestar([hello], plugins=[ServicePlugin(auth)], logging_config=None)

if __name__ == "__main__":
    run(serve(app, ["litestar", "msgspec"], logging_in(auth), bare=bare_litestar.dependent))
