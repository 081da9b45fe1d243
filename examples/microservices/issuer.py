"""The issuing service: the only one with a database. People log in here."""

from fastapi import FastAPI

from coatcheck.fastapi import Auth, auth_app

KEYS = [f"a-key-of-the-{name}" for name in ("orders-service-0001", "reports-service-001", "gateway-service-001")]

auth = Auth("sqlite:///issuer.db")
app = FastAPI(lifespan=auth.lifespan)
app.mount("/auth", auth_app(auth, service_keys=KEYS))
