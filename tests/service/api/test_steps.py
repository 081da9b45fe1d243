"""POST /login/step: what an attempt can do, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from coatcheck import Access, Auth, Mode, bearer
from coatcheck.errors import AttemptOver, ConfigurationError, InvalidStep, StepRequired, StoreUnavailable
from coatcheck.logins import Steps
from coatcheck.service.app import auth_app
from coatcheck.stores.memory import MemoryStore
from coatcheck.testing.clock import TravelClock
from tests.service.visitor import EMAIL, OTHER, PASSWORD, make_auth
from tests.support.gates import GatedStore
from tests.support.second_password import SECOND, OneTime, SecondPassword

OWN = {"sec-fetch-site": "same-origin"}
COOKIE = "__Secure-coatcheck-attempt"
MODES = pytest.mark.parametrize("mode", list(Mode), ids=str)


class Scene:
    """Somebody with a second factor, and a service."""

    def __init__(self, auth: Auth, step: SecondPassword, clock: TravelClock, store: GatedStore) -> None:
        self.auth, self.step, self.clock, self.store = auth, step, clock, store
        self.subject = ""

    def client(self, ip: str = "192.0.2.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(auth_app(self.auth), client=(ip, 4321), root_path="/auth")
        return httpx.AsyncClient(transport=transport, base_url="https://auth.test", headers=OWN)

    async def begin(self, web: httpx.AsyncClient, mode: Mode = Mode.JWT, **more: Any) -> dict[str, Any]:
        answer = await web.post("/login", json={"email": EMAIL, "password": PASSWORD, "mode": mode.value, **more})
        assert answer.status_code == 202, answer.text
        assert answer.headers["cache-control"] == "no-store"
        attempt = answer.json().get("attempt") or answer.cookies[COOKIE]
        web.cookies.clear()
        return {"attempt": attempt} if mode is Mode.JWT else {"cookie": attempt}

    async def go_on(
        self, web: httpx.AsyncClient, begun: dict[str, Any], code: str = SECOND, **more: Any
    ) -> httpx.Response:
        body = {"method": self.step.method, "code": code, **more}
        if "attempt" in begun:
            return await web.post("/login/step", json={"attempt": begun["attempt"], **body})
        return await web.post("/login/step", json=body, headers={"cookie": f"{COOKIE}={begun['cookie']}"})

    async def live(self) -> int:
        return len((await self.auth.sessions.sessions_of(self.subject, now=self.clock.now(), limit=200)).sessions)


@pytest.fixture(params=[SecondPassword, OneTime])
def step(request: pytest.FixtureRequest) -> SecondPassword:
    made: SecondPassword = request.param()
    return made


@pytest.fixture
async def scene(step: SecondPassword) -> AsyncIterator[Scene]:
    clock = TravelClock()
    store = GatedStore(MemoryStore(wall=clock))
    auth = make_auth(clock, store)
    auth.steps.add(step)
    async with auth:
        if isinstance(step, OneTime):
            step.counters = auth.counters
        scene = Scene(auth, step, clock, store)
        scene.subject = (await auth.accounts.register(EMAIL, PASSWORD)).id
        step.of[scene.subject] = SECOND
        yield scene


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


@MODES
async def test_once(scene: Scene, mode: Mode) -> None:
    """An attempt makes one session; it is over then, and whoever has a copy of it gets nothing."""
    async with scene.client() as web:
        begun = await scene.begin(web, mode)
        assert await scene.live() == 0
        assert (await scene.go_on(web, begun)).status_code == 200
        scene.clock.advance(scene.auth.policy.reuse_window + 1)
        again = code_of(await scene.go_on(web, begun))
        assert again == (401, "invalid_step" if scene.step.method == "one_time" else "attempt_over")
        assert await scene.live() == 1


@MODES
@pytest.mark.parametrize("seconds", [299, 301])
async def test_its_time(scene: Scene, mode: Mode, seconds: float) -> None:
    """It lasts five minutes, whatever is tried meanwhile."""
    async with scene.client() as web:
        begun = await scene.begin(web, mode)
        scene.clock.advance(seconds)
        answer = await scene.go_on(web, begun)
        assert code_of(answer) == ((200, "") if seconds < 300 else (401, "attempt_over"))
        assert await scene.live() == (seconds < 300)


@MODES
async def test_wrong_answers(scene: Scene, mode: Mode) -> None:
    """They do not end it; after a few the answer is 429, and right ones are not looked at either."""
    async with scene.client() as web:
        begun = await scene.begin(web, mode)
        assert code_of(await scene.go_on(web, begun, "wrong")) == (401, "invalid_step")
        for number in range(20):
            answer = await scene.go_on(web, begun, f"wrong {number}")
            if answer.status_code == 429:
                break
        assert code_of(answer) == (429, "throttled")
        calls = scene.step.calls
        assert (await scene.go_on(web, begun)).status_code == 429
        assert scene.step.calls == calls
        assert "retry-after" in answer.headers
        async with scene.client("198.51.100.9") as elsewhere:
            assert (await scene.go_on(elsewhere, begun)).status_code == 200


async def test_beginning_anew_gives_no_more_tries(scene: Scene) -> None:
    """Tries are counted for the subject, whatever attempt they are of."""
    async with scene.client() as web:
        for _ in range(20):
            answer = await scene.go_on(web, await scene.begin(web), "wrong")
            if answer.status_code == 429:
                break
            assert code_of(answer) == (401, "invalid_step")
    assert code_of(answer) == (429, "throttled")


ENDS = {
    "logout everywhere": lambda auth, subject: auth.revoke_subject(subject),
    "a new password": lambda auth, subject: auth.accounts.set_password(subject, OTHER),
    "disabled": lambda auth, subject: auth.accounts.disable(subject),
}


@MODES
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_what_ends_sessions_ends_it(scene: Scene, mode: Mode, end: Any) -> None:
    """Whatever ends the subject's sessions ends the login under way."""
    async with scene.client() as web:
        begun = await scene.begin(web, mode)
        await end(scene.auth, scene.subject)
        assert code_of(await scene.go_on(web, begun)) == (401, "attempt_over")
        assert await scene.live() == 0


@MODES
@pytest.mark.parametrize("place", ["find", "create", "standing_of"])
async def test_ended_while_it_finishes(scene: Scene, mode: Mode, place: str) -> None:
    """Also at any moment while it is being finished: no session outlives the end."""
    async with scene.client() as web:
        begun = await scene.begin(web, mode)
        gate = scene.store.hold_before(place)
        task = asyncio.create_task(scene.go_on(web, begun))
        if place != "find":  # finishing a login looks for no session
            await gate.reached()
        await scene.auth.revoke_subject(scene.subject)
        gate.open()
        answer = await task
        assert await scene.live() == (1 if answer.status_code == 200 and place == "find" else 0)
        if place != "find":
            assert code_of(answer) == (401, "attempt_over")


@MODES
async def test_two_at_once(scene: Scene, mode: Mode) -> None:
    """Of two who finish one attempt at once one makes the session; a browser's second click gets the same one."""
    async with scene.client() as web:
        begun = await scene.begin(web, mode)
        answers = await asyncio.gather(*(scene.go_on(web, begun) for _ in range(2)))
        assert await scene.live() == 1
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == ([200, 200] if mode is Mode.SESSION else [200, 401])
        if mode is Mode.SESSION:
            assert len({answer.cookies["__Host-coatcheck"] for answer in answers}) == 1


async def test_one_code_in_two_attempts(scene: Scene) -> None:
    """A code that counts once completes one of two logins that are given it at the same time."""
    async with scene.client() as web:
        first, second = await scene.begin(web), await scene.begin(web)
        answers = await asyncio.gather(*(scene.go_on(web, each) for each in (first, second)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == ([200, 401] if scene.step.method == "one_time" else [200, 200])


async def test_it_is_no_credential(scene: Scene) -> None:
    """Nothing but the steps takes it: it is nobody's session, and no other token is an attempt."""
    async with scene.client() as web:
        attempt = (await scene.begin(web))["attempt"]
        for headers in (
            {"authorization": f"Bearer {attempt}"},
            {"cookie": f"__Host-coatcheck={attempt}"},
            {"cookie": f"__Host-coatcheck-access={attempt}"},
        ):
            assert (await web.get("/session", headers=headers)).status_code == 401
        assert (await web.post("/refresh", json={"refresh_token": attempt})).status_code == 401
        del scene.step.of[scene.subject]
        made = await scene.auth.login(scene.subject, mode=Mode.JWT)
        forged = f"{attempt[:-1]}{'A' if attempt[-1] != 'A' else 'B'}"
        session = scene.auth.opaque.session_token(made.session.id)
        for other in (made.access_token, made.refresh_token, session, forged, "", "cca_", "cca_" + "A" * 9000):
            assert code_of(await scene.go_on(web, {"attempt": other}))[1] == "attempt_over"


async def test_the_way_of_its_mode(scene: Scene) -> None:
    """One of a cookie counts in that cookie alone, so it is of no use to whoever has read it elsewhere."""
    async with scene.client() as web:
        of_cookie, of_body = await scene.begin(web, Mode.SESSION), await scene.begin(web)
        assert code_of(await scene.go_on(web, {"attempt": of_cookie["cookie"]})) == (401, "attempt_over")
        assert code_of(await scene.go_on(web, {"cookie": of_body["attempt"]})) == (401, "attempt_over")
        answer = await web.post("/login", json={"email": EMAIL, "password": PASSWORD, "mode": "session"})
        for said in ("HttpOnly", "Secure", "Path=/auth/login/step", "SameSite=Strict", "Max-Age=300"):
            assert said in answer.headers["set-cookie"]


async def test_from_elsewhere(scene: Scene) -> None:
    """No page of another site goes on with a login."""
    async with scene.client() as web:
        begun = await scene.begin(web, Mode.SESSION)
        web.headers["sec-fetch-site"] = "cross-site"
        assert code_of(await scene.go_on(web, begun)) == (403, "cross_site")
        assert await scene.live() == 0


@pytest.mark.parametrize("body", [
    {}, {"method": "x"}, {"method": "x", "code": ""}, {"method": "x", "code": "1", "credential": {"a": 1}},
    {"method": "x", "code": 1}, {"method": "x", "code": "1", "trust": True}, {"method": "x", "code": "1" * 2000},
])  # fmt: skip
async def test_bodies(scene: Scene, body: Any) -> None:
    """What is none of ours in form is refused before anything is looked at."""
    async with scene.client() as web:
        begun = await scene.begin(web)
        answer = await web.post("/login/step", json=begun | body)
        assert code_of(answer) == (422, "invalid_request")
        assert scene.step.calls == 0


async def test_a_method_that_is_not_required(scene: Scene) -> None:
    """It counts as a wrong answer."""
    async with scene.client() as web:
        begun = await scene.begin(web)
        assert code_of(await scene.go_on(web, begun, method="other")) == (401, "invalid_step")


async def test_a_store_that_fails(scene: Scene) -> None:
    """While it cannot be known whether there is a second factor, nobody is let in without one."""
    async with scene.client() as web:
        scene.step.broken = StoreUnavailable("made to fail")
        answer = await web.post("/login", json={"email": EMAIL, "password": PASSWORD})
        assert code_of(answer) == (503, "unavailable")
        scene.step.broken = None
        begun = await scene.begin(web)
        for name in ("standing_of", "count_failure", "create"):
            scene.store.fail(name)
            assert (await scene.go_on(web, begun)).status_code == 503
            scene.store.fail()
        assert await scene.live() == 0


@MODES
async def test_proving_again(scene: Scene, mode: Mode) -> None:
    """The same steps: the session id changes, what was proved grows, and only in that session."""
    made = await scene.auth.login(scene.subject, mode=mode, amr=("pwd", "mfa"))
    value = made.access_token or made.session_token
    name = {Mode.SESSION: "__Host-coatcheck", Mode.JWT_COOKIE: "__Host-coatcheck-access"}.get(mode)
    holding = {"cookie": f"{name}={value}"} if name else {"authorization": f"Bearer {value}"}
    async with scene.client() as web:
        first = await web.post("/reauthenticate", json={"password": PASSWORD}, headers=holding)
        assert (first.status_code, first.json()["methods"]) == (202, [scene.step.method])
        attempt = first.json().get("attempt") or first.cookies[COOKIE]
        body = {"method": scene.step.method, "code": SECOND} | ({"attempt": attempt} if mode is Mode.JWT else {})
        web.cookies.clear()
        alone = {} if mode is Mode.JWT else {"cookie": f"{COOKIE}={attempt}"}
        assert code_of(await web.post("/login/step", json=body, headers=alone)) == (401, "attempt_over")
        both = holding if mode is Mode.JWT else {"cookie": f"{holding['cookie']}; {COOKIE}={attempt}"}
        answer = await web.post("/login/step", json=body, headers=both)
        assert answer.status_code == 200, answer.text
    assert answer.json()["session"]["id"] != made.session.id
    [session] = (await scene.auth.sessions.sessions_of(scene.subject, now=scene.clock.now(), limit=9)).sessions
    assert session.amr == ("pwd", "mfa", *scene.step.amr)


async def test_by_hand(scene: Scene) -> None:
    """A program that logs in by itself is told what is required, and goes on."""
    proved = await scene.auth.authenticate(EMAIL, PASSWORD)
    with pytest.raises(StepRequired) as more:
        await scene.auth.login(proved.subject, epoch=proved.epoch, mode=Mode.JWT, remember=False)
    assert more.value.methods == (scene.step.method,)
    assert more.value.attempt not in f"{more.value!r} {more.value}"
    with pytest.raises(InvalidStep):
        await scene.auth.finish_login(more.value.attempt, method=scene.step.method, code="wrong")
    made = await scene.auth.finish_login(
        more.value.attempt, method=scene.step.method, code=SECOND, data={"cart": 1}
    )  # fmt: skip
    assert made.session.data == {"cart": 1}
    assert (await scene.auth.verify(bearer(made.access_token or ""))).amr == ("pwd", *scene.step.amr, "mfa")
    with pytest.raises((AttemptOver, InvalidStep)):
        await scene.auth.finish_login(more.value.attempt, method=scene.step.method, code=SECOND)
    assert (await scene.auth.login(proved.subject, amr=("hwk", "mfa"))).session.amr == ("hwk", "mfa")


async def test_what_is_narrowed_stays_so(scene: Scene) -> None:
    """A login that may do less, or ends earlier, is no more than that after the step."""
    narrowed = Access(scopes=frozenset({"orders:read"}))
    ends = scene.clock.now() + 600
    with pytest.raises(StepRequired) as more:
        await scene.auth.login(scene.subject, mode=Mode.JWT, access=narrowed, expires=ends)
    made = await scene.auth.finish_login(more.value.attempt, method=scene.step.method, code=SECOND)
    assert made.session.access == narrowed
    assert made.session.absolute_deadline == ends


async def test_routes_that_are_off() -> None:
    """Without any step there is no such route."""
    async with make_auth(TravelClock()) as auth:
        transport = httpx.ASGITransport(auth_app(auth))
        async with httpx.AsyncClient(transport=transport, base_url="https://auth.test", headers=OWN) as web:
            assert (await web.post("/login/step", json={"method": "x", "code": "1"})).status_code in (404, 405)


class Nameless(SecondPassword):
    method = "Second Password"


class Proofless(SecondPassword):
    amr = ()


@pytest.mark.parametrize("wrong", [None, "totp", SecondPassword, Nameless(), Proofless()])
def test_what_is_no_step(wrong: Any) -> None:
    """It is refused where it is added."""
    with pytest.raises(ConfigurationError):
        Steps().add(wrong)


async def test_when_it_is_added() -> None:
    """Twice, or after the start, is refused; and with a store that cannot count."""
    auth = make_auth(TravelClock())
    auth.steps.add(SecondPassword())
    with pytest.raises(ConfigurationError, match="two steps"):
        auth.steps.add(SecondPassword())
    async with auth:
        with pytest.raises(ConfigurationError, match="before the start"):
            auth.steps.add(OneTime())
