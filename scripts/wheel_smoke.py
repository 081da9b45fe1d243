"""What somebody does first with an installed Coatcheck: import it, serve, register, log in, log out, stop.

Needs the standard library only, runs in the environment under test and works in the current directory, which
should be empty. Prints one line a fact; ends with a traceback at the first that does not hold.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

COMMAND = str(Path(sysconfig.get_path("scripts")) / "coatcheck")
EMAIL = "smoke@example.com"
PASSWORD = "nine brown owls on a wet fence"
START_SECONDS = 30.0
STOP_SECONDS = 20.0
# What a process that only verifies has no use for.
HEAVY = ["fastapi", "starlette", "sqlalchemy", "alembic", "jinja2", "uvicorn", "click"]


def check(fact: str, holds: bool, evidence: object = "") -> None:
    """Print the fact, or stop with it and the evidence when it does not hold."""
    if not holds:
        raise SystemExit(f"does not hold: {fact}\n{evidence}")
    print(f"ok: {fact}", flush=True)


def check_import() -> None:
    import coatcheck

    missing = [name for name in coatcheck.__all__ if not hasattr(coatcheck, name)]
    check("every public name can be imported", bool(coatcheck.__all__) and not missing, missing)
    version = importlib.metadata.version("coatcheck")
    check("the package knows its version", coatcheck.__version__ == version, coatcheck.__version__)
    check("it is the installed one", Path(coatcheck.__file__).is_relative_to(sys.prefix), coatcheck.__file__)

    program = f"import sys, coatcheck; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout
    check("importing it loads no framework and no driver", not loaded.strip(), loaded)

    answer = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True).stdout
    check("`coatcheck --version` tells it", version in answer, answer)


class Client:
    """Plain HTTP to the service; an error status is an answer, not an exception."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, HTTPMessage, Any]:
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self._base + path, data=data, headers=headers, method=method)
        try:
            answer = self._opener.open(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            raw = answer.read()
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer.status, answer.headers, json.loads(raw) if is_json and raw else raw


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_live(client: Client, service: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    status = 0
    while status != 200:
        if service.poll() is not None or time.monotonic() > give_up:
            raise SystemExit(f"the service did not start (exit {service.poll()}, /healthz {status})\n{log.read_text()}")
        try:
            status = client.ask("GET", "/healthz")[0]
        except OSError:  # not listening yet
            time.sleep(0.05)
    check("the service is live", True)


def check_session(client: Client) -> list[str]:
    """Register in session mode, use the cookie, log out. Returns the secrets that were in play."""
    body = {"email": EMAIL, "password": PASSWORD, "mode": "session"}
    status, headers, answer = client.ask("POST", "/auth/register", body)
    check("registering answers 201", status == 201, answer)
    cookies = [cookie.split(";")[0] for cookie in headers.get_all("Set-Cookie", [])]
    cookie = next((cookie for cookie in cookies if "=ccs_" in cookie), "")
    check("and sets the session cookie", bool(cookie), cookies)
    status, _, answer = client.ask("GET", "/auth/session", Cookie=cookie)
    check("the cookie is a session", status == 200 and answer["mode"] == "session", (status, answer))
    status, _, answer = client.ask("GET", "/auth/session", Cookie=cookie[:-1] + ("A" if cookie[-1] != "A" else "B"))
    check("a changed cookie is refused", status == 401, (status, answer))
    return [PASSWORD, cookie.partition("=")[2]]


def check_jwt(client: Client) -> list[str]:
    """Log in in JWT mode, use the token, log out, see it refused. Returns the secrets that were in play."""
    body = {"email": EMAIL, "password": PASSWORD, "mode": "jwt"}
    status, _, answer = client.ask("POST", "/auth/login", body)
    check("logging in answers 200", status == 200, answer)
    tokens = [answer["access_token"], answer["refresh_token"]]
    bearer = f"Bearer {tokens[0]}"
    status, _, answer = client.ask("GET", "/auth/session", Authorization=bearer)
    check("the access token is a session", status == 200 and answer["mode"] == "jwt", (status, answer))
    status, _, answer = client.ask("POST", "/auth/logout", Authorization=bearer)
    check("logging out answers 204", status == 204, (status, answer))
    status, _, answer = client.ask("GET", "/auth/session", Authorization=bearer)
    check("the access token is refused at once", status == 401, (status, answer))
    return tokens


def check_service() -> None:
    port = free_port()
    log = Path("service.log")
    settings = {name: value for name, value in os.environ.items() if not name.startswith("COATCHECK_")}
    with log.open("wb") as output:
        service = subprocess.Popen([COMMAND, "serve", "--port", str(port)], stdout=output, stderr=output, env=settings)
    try:
        client = Client(port)
        wait_until_live(client, service, log)
        secrets = check_session(client) + check_jwt(client)
        service.send_signal(signal.SIGTERM)
        code = service.wait(STOP_SECONDS)
        check("it stops when asked", code in (0, -signal.SIGTERM), code)
    finally:
        service.kill()
        service.wait()
    text = log.read_text()
    check("its log holds no secret", not any(secret in text for secret in secrets), text)
    files = sorted(path for path in Path().iterdir() if path.suffix == ".secret")
    private = all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    check("its secret is for its owner only", bool(files) and private, sorted(Path().iterdir()))


if __name__ == "__main__":
    check_import()
    check_service()
