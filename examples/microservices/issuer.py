"""The issuing service: the only one with a database. People log in here."""

from fastapi import FastAPI

from coatcheck import Auth
from coatcheck.service import auth_app

KEYS = ["a-key-of-the-orders-service-0001", "a-key-of-the-reports-service-001"]

auth = Auth("sqlite:///issuer.db")
app = FastAPI(lifespan=auth.lifespan)
app.mount("/auth", auth_app(auth, service_keys=KEYS))
