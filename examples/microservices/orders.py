"""A service without a database, with FastAPI."""

import os

from fastapi import FastAPI

from coatcheck.fastapi import CurrentUser, RemoteVerifier

auth = RemoteVerifier(os.environ["ISSUER"], service_key=os.environ["SERVICE_KEY"])
app = FastAPI(lifespan=auth.lifespan)


@app.get("/orders")
async def orders(user: CurrentUser) -> dict[str, str]:
    return {"orders of": user.subject}
