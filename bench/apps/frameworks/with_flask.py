"""Flask: the extension, and a decorator of the view."""

from __future__ import annotations

from flask import Flask
from shared import ANSWER, GUARDED, SUBJECT, facts, mode, ready

from coatcheck.blocking import Auth
from coatcheck.flask import Coatcheck, login_required

auth = Auth("memory://", subjects=facts)
app = Flask(__name__)


def hello() -> dict[str, object]:
    return ANSWER


app.get("/")(login_required(hello) if GUARDED else hello)
if GUARDED:
    Coatcheck(app, auth)
ready(auth.login(SUBJECT, mode=mode()))
