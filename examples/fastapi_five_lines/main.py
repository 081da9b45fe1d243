"""FastAPI with Coatcheck's own accounts, API and pages."""

from fastapi import FastAPI

from coatcheck.fastapi import Auth, CurrentUser, auth_app

auth = Auth("sqlite:///app.db")
app = FastAPI(lifespan=auth.lifespan)
app.mount("/auth", auth_app(auth))


@app.get("/me")
async def me(user: CurrentUser) -> str:
    return user.subject
