"""Whose pages these are: the name, logo and colour of the application that people log in to, and where it is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from . import arguments
from .errors import ConfigurationError
from .origins import listed

MAX_NAME: Final = 60
"""Characters of a name: what stands in a bar and a title."""
MAX_LOGO: Final = 512 * 1024
"""Bytes of a logo, which every visitor loads."""

_COLOR: Final = re.compile(r"#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")
_PATH: Final = re.compile(r"/(?!/)[!-\[\]-~]*", re.ASCII)
_DOTS: Final = re.compile(r"(\.|%2e){1,2}", re.ASCII | re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://[!#-;=?-\[\]-~]+", re.ASCII)
_PROLOGUE: Final = re.compile(rb"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(\[[^\]]*\][^>]*)?>", re.DOTALL)
"""One piece of what may stand before an SVG's root, XML 1.0 §2.8."""
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"GIF8", "image/gif", "gif"),
)


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture, read once."""

    content: bytes = field(repr=False)
    media_type: str
    suffix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(arguments.Named):
    """What the pages show of the application. All may be left out: ``mount_auth(app, url, site=Site(name="Acme"))``.

    Raises `ConfigurationError` for what cannot be shown, and for a setting that there is none of, when it is made."""

    _refusal = ConfigurationError

    name: str = ""
    """What people call it, `MAX_NAME` characters at most: in the bar, in titles, on the way back."""
    logo: str | os.PathLike[str] = ""
    """A file with its picture: SVG, PNG, JPEG, GIF or WebP, of `MAX_LOGO` bytes at most. It is read once, and the
    service hands it out itself. Without one, and with a name, there is none."""
    color: str = ""
    """Its colour, such as ``#7c3aed``, for buttons and links. Where text in it could not be read, a darker or lighter
    one is taken (WCAG 2.2, 1.4.3: 4.5 to 1), in the light and in the dark."""
    home: str = ""
    """Where people go after logging in or out, unless a ``next`` says otherwise, and where the name leads: a path of
    the application such as ``/dashboard``, or an address such as ``https://app.example/``. Left out, the name leads to
    the root of the application, and a login to the account page."""
    picture: Logo | None = field(init=False, repr=False, compare=False, default=None)
    """The logo as it was read."""

    def __post_init__(self) -> None:
        for name in ("name", "color", "home"):
            if not isinstance(getattr(self, name), str):
                raise ConfigurationError(f"site.{name} must be a text")
        if len(self.name) > MAX_NAME or not self.name.isprintable() or self.name != self.name.strip():
            raise ConfigurationError(f"site.name must be one line of at most {MAX_NAME} characters")
        if self.color and not _COLOR.fullmatch(self.color):
            raise ConfigurationError("site.color must be such as #7c3aed")
        if self.home and not is_address(self.home):
            raise ConfigurationError("site.home must be a path such as /dashboard, or such as https://app.example/")
        if not isinstance(self.logo, str | os.PathLike):
            raise ConfigurationError("site.logo must be the path of a file")
        if isinstance(os.fspath(self.logo), bytes):
            raise ConfigurationError("site.logo must be the path of a file, as a text")
        if os.fspath(self.logo):
            object.__setattr__(self, "picture", _read(self.logo))

    @classmethod
    def of(cls, given: object) -> Self:
        """The site that is given as one, or as a mapping of what it has. Raises `ConfigurationError`."""
        if isinstance(given, cls):
            return given
        if not isinstance(given, Mapping):
            raise ConfigurationError('site must be such as Site(name="Acme", home="/")')
        known = [item.name for item in fields(cls) if item.init]
        for name in given:
            if name not in known:
                close = get_close_matches(str(name), known, n=1)
                meant = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
                raise ConfigurationError(f"site has no {name!r}{meant}")
        values: dict[str, Any] = dict(given)
        return cls(**values)


NOBODYS: Final = Site()
"""What has neither name nor logo."""


def is_address(text: str) -> bool:
    """Whether it is a path of a site, or an address on the web, that a page may lead to."""
    if text.startswith("/"):
        path = re.split(r"[?#]", text, maxsplit=1)[0]
        return bool(_PATH.fullmatch(text)) and "//" not in path and not any(map(_DOTS.fullmatch, path.split("/")))
    if not _ADDRESS.fullmatch(text):
        return False
    parts = urlsplit(text)
    try:
        listed(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        return False
    return True


def _read(given: str | os.PathLike[str]) -> Logo:
    file = Path(given)
    if file.as_posix().lower().partition(":")[0] in ("http", "https", "data"):
        raise ConfigurationError("site.logo is a file beside the application, and no address: pages load nothing else")
    try:
        if not file.is_file():  # what is no file may never end
            why = "is no file" if file.exists() else "there is no such file"
            raise ConfigurationError(f"site.logo: cannot read {file.absolute()}: {why}")
        with file.open("rb") as opened:
            content = opened.read(MAX_LOGO + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"site.logo: cannot read {os.fspath(given)!r}: {why}") from error
    if len(content) > MAX_LOGO:
        raise ConfigurationError(f"site.logo: {file} has more than {MAX_LOGO // 1024} KiB")
    for begin, media_type, suffix in _MAGIC:
        if content.startswith(begin):
            return Logo(content, media_type, suffix)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return Logo(content, "image/webp", "webp")
    if _is_svg(content):
        return Logo(content, "image/svg+xml", "svg")
    raise ConfigurationError(f"site.logo: {file} is no SVG, PNG, JPEG, GIF or WebP")


def _is_svg(content: bytes) -> bool:
    at = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    while piece := _PROLOGUE.match(content, at):
        at = piece.end()
    return re.match(rb"<(\w+:)?svg[\s>]", content[at : at + 40]) is not None
