"""What a person has in their hand: one login in one mode, held by a client that keeps no cookies of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from coatcheck import Mode
from coatcheck.credentials.cookies import DEVELOPMENT, CookieNames, names_for
from tests.support.service import PASSWORD


@dataclass
class Held:
    """The credentials of one session, and how they are presented."""

    mode: Mode
    session_id: str
    tokens: dict[str, str] = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """With these headers a request is made in this session. The cookies of 8000 count at any port."""
        if self.mode is Mode.JWT:
            return {"Authorization": f"Bearer {self.tokens['access']}"}
        name = DEVELOPMENT.session if self.mode is Mode.SESSION else DEVELOPMENT.access
        return {"Cookie": f"{name}={self.tokens['access']}"}

    def is_accepted(self, client: httpx.Client) -> bool:
        """Whether the worker takes the credential: 403 is "I know you, and you are no administrator".

        What is asked for needs nothing but the verifier, so that no other look into the store answers in its place.
        """
        response = client.get("/auth/admin/subjects", headers=self.headers)
        assert response.status_code in (403, 401), response.text
        return response.status_code == 403

    def refresh(self, client: httpx.Client) -> httpx.Response:
        """Exchange the refresh token; on success the new ones are held."""
        if self.mode is Mode.JWT:
            response = client.post("/auth/refresh", json={"refresh_token": self.tokens["refresh"]})
        else:
            cookie = f"{names_at(client).refresh}={self.tokens['refresh']}"
            response = client.post("/auth/refresh", headers={"Cookie": cookie, "Origin": origin(client)})
        client.cookies.clear()
        if response.status_code == 200:
            self.tokens = _tokens(client, self.mode, response)
        return response

    def post(self, client: httpx.Client, path: str, method: str = "POST") -> httpx.Response:
        """A state-changing request in this session, as our own pages would make it."""
        return client.request(method, path, headers={**self.headers, "Origin": origin(client)})


def login(client: httpx.Client, email: str, mode: Mode) -> tuple[httpx.Response, Held | None]:
    """Log in; the second is None when it was refused."""
    response = client.post("/auth/login", json={"email": email, "password": PASSWORD, "mode": mode.value})
    client.cookies.clear()
    if response.status_code != 200:
        return response, None
    return response, Held(mode, response.json()["session"]["id"], _tokens(client, mode, response))


def register(client: httpx.Client, email: str) -> None:
    """A new account with the usual password."""
    response = client.post("/auth/register", json={"email": email, "password": PASSWORD})
    assert response.status_code == 201, response.text


def origin(client: httpx.Client) -> str:
    """The service's own origin."""
    return str(client.base_url).rstrip("/")


def names_at(client: httpx.Client) -> CookieNames:
    """What the service's cookies are called at the address that the client has."""
    names = names_for(client.base_url.scheme, client.base_url.netloc)
    assert names is not None
    return names


def _tokens(client: httpx.Client, mode: Mode, response: httpx.Response) -> dict[str, str]:
    body, cookies = response.json(), response.cookies
    if mode is Mode.SESSION:
        return {"access": cookies[names_at(client).session]}
    if mode is Mode.JWT:
        return {"access": body["access_token"], "refresh": body["refresh_token"]}
    names = names_at(client)
    return {"access": cookies[names.access], "refresh": cookies[names.refresh]}
