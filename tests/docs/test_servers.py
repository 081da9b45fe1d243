"""Every server that a page may start is started on a free port, answers where the page says, and ends with the page."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.docs.pages import PageRun
from tests.support.patience import PATIENCE

_FLASK = "from flask import Flask\napp = Flask(__name__)\napp.route('/')(lambda: 'hello')\n"
_ASGI = """async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""
_LITESTAR = """from litestar import Litestar, get
@get("/", media_type="text/plain")
async def hello() -> str:
    return "hello"
app = Litestar([hello])
"""
_AIOHTTP = """from aiohttp import web
async def hello(request):
    return web.Response(text="hello")
app = web.Application()
app.router.add_get("/", hello)
web.run_app(app, host="127.0.0.1", port=8081)
"""
_DJANGO = """import sys
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
settings.configure(ROOT_URLCONF=__name__, DEBUG=True, SECRET_KEY="not one", ALLOWED_HOSTS=["*"])
urlpatterns = [path("", lambda request: HttpResponse("hello"))]
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
COMMANDS = [
    ("main.py", _ASGI, "uvicorn main:app --lifespan off --port 8123", 8123),
    ("main.py", _FLASK, "flask --app main run", 5000),
    ("main.py", _FLASK, "FLASK_APP=main flask run -p 5001", 5001),
    ("main.py", _FLASK, "gunicorn main:app -w 1 -b :8001", 8001),
    ("main.py", _LITESTAR, "litestar --app main:app run", 8000),
    ("main.py", _AIOHTTP, "python main.py  # serves on port 8081", 8081),
    ("manage.py", _DJANGO, "python manage.py runserver", 8000),
    ("site.py", _DJANGO, "PYTHONPATH=. DJANGO_SETTINGS_MODULE=settings django-admin runserver 8002", 8002),
]
_SETTINGS = 'ROOT_URLCONF = "urls"\nDEBUG = True\nSECRET_KEY = "not one"\n'
_URLS = """from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("hello"))]
"""


@pytest.mark.parametrize(("name", "program", "command", "port"), COMMANDS, ids=[command for *_, command, _ in COMMANDS])
def test_server(name: str, program: str, command: str, port: int, tmp_path: Path) -> None:
    """The page's next command reaches it at the port that a reader sees; afterwards nobody answers there."""
    page = tmp_path / "page.md"
    files = {name: program}
    if name == "site.py":
        files = {"settings.py": _SETTINGS, "urls.py": _URLS}
    written = "".join(f"```python {name}\n{text}```\n\n" for name, text in files.items())
    page.write_text(f"{written}```console\n$ {command}\n$ curl http://127.0.0.1:{port}/\nhello\n```\n")
    with PageRun(tmp_path) as run:
        run.run(page)
        url = run.here(f"http://127.0.0.1:{port}/")
        assert httpx.get(url, timeout=PATIENCE).text == "hello"
        assert f":{port}/" not in url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, timeout=PATIENCE)
