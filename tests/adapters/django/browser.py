"""Django's test client as a browser on our own pages, whose requests are checked as a real one's are."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from coatcheck import Mode

PASSWORD = "nine brown owls"
OWN = {"Sec-Fetch-Site": "same-origin"}
EVIL = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


class Browser(Client):
    """Talks https, keeps cookies, enforces Django's CSRF check, and holds a bearer token if it was given one."""

    def __init__(self) -> None:
        super().__init__(enforce_csrf_checks=True, raise_request_exception=False, headers={"host": "app.example"})
        self.bearer = ""
        self.plain = False
        """Over plain http."""

    def generic(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        for name in [name for name, morsel in self.cookies.items() if not morsel.value]:
            del self.cookies[name]  # as a browser does; Django's client goes on sending it, empty
        headers = dict(more.pop("headers", None) or {})
        if self.bearer:
            headers.setdefault("Authorization", f"Bearer {self.bearer}")
        more["secure"] = not self.plain
        return super().generic(method, path, *args, headers=headers, **more)

    def enter(self, user: User, mode: Mode = Mode.SESSION, password: str = PASSWORD) -> Any:
        """Log in through the mounted service."""
        body = {"email": user.get_username(), "password": password, "mode": mode.value}
        answer = self.post("/auth/login", body, content_type="application/json", headers=OWN)
        if answer.status_code == 200:
            self.bearer = answer.json().get("access_token", "")
        return answer

    def who(self) -> Any:
        """The subject that a public page sees."""
        answer = self.get("/open")
        return answer.json()["subject"] if answer.status_code == 200 else answer.status_code
