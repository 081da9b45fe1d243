"""Whose pages these are: what may be said of an application, and its colour made fit to be read."""

from __future__ import annotations

import copy
import os
import pickle
import re
from itertools import product
from pathlib import Path

import pytest

from coatcheck import ConfigurationError, Site
from coatcheck.site import MAX_LOGO
from coatcheck.web.colours import colour, contrast, stylesheet

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'
GROUNDS = {"light": ("#ffffff", "#f4f5f3"), "dark": ("#1a2220", "#111715")}


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (SVG, "image/svg+xml"),
        (b'<?xml version="1.0"?>\n<!-- made by hand -->\n<!DOCTYPE svg>\n' + SVG, "image/svg+xml"),
        (PNG, "image/png"),
        (b"\xef\xbb\xbf<?xml-stylesheet?><!DOCTYPE svg [<!ENTITY a 'b>'>]><!-- > -->\n" + SVG, "image/svg+xml"),
        (b"<!---->" * 2000 + SVG, "image/svg+xml"),
        (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_logo(content: bytes, media_type: str, tmp_path: Path) -> None:
    """A logo is known by what is in it, whatever its name, and is read once."""
    file = tmp_path / "logo.txt"
    file.write_bytes(content)
    site = Site(logo=file)
    file.unlink()
    assert site.picture is not None
    assert (site.picture.content, site.picture.media_type) == (content, media_type)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no SVG"),
        (b"<html><svg></svg></html>", "is no SVG"),
        (b"%PDF-1.7", "is no SVG"),
        (b"<!---->" * 5000 + b"<!--", "is no SVG"),
        (PNG + bytes(MAX_LOGO), "more than 512 KiB"),
        (None, "there is no such file"),
    ],
)
def test_no_logo(content: bytes | None, said: str, tmp_path: Path) -> None:
    """What is no picture, is too large or is not there is refused at once, with its name."""
    file = tmp_path / "logo.svg"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        Site(logo=str(file))


@pytest.mark.parametrize(
    "given", ["https://cdn.example/logo.svg", "http://cdn.example/l.png", "data:image/png;base64,x"]
)
def test_a_logo_elsewhere(given: str) -> None:
    """An address is no file, and the message says what to give."""
    with pytest.raises(ConfigurationError, match="is a file"):
        Site(logo=given)


def test_what_is_no_file(tmp_path: Path) -> None:
    """What never ends, or names nothing that can be, is refused and not waited for."""
    os.mkfifo(tmp_path / "logo.svg")
    for given in (tmp_path / "logo.svg", tmp_path, "a\0b", b"logo.svg", "HTTPS://x/y.png"):
        with pytest.raises(ConfigurationError, match=r"site\.logo"):
            Site.of({"logo": given})


@pytest.mark.parametrize("name", ["x" * 61, "two\nlines", " The Shop", "The \u202eShop", 7, None])
def test_no_name(name: object) -> None:
    """A name is one short line."""
    with pytest.raises(ConfigurationError, match=r"site\.name"):
        Site.of({"name": name})


@pytest.mark.parametrize("home", ["/", "/shop?a=1#b", "https://app.example", "http://localhost:3000/a"])
def test_home(home: str) -> None:
    """A path, or an address on the web."""
    assert Site(home=home).home == home


@pytest.mark.parametrize(
    "home",
    [
        "//evil.example", "javascript:alert(1)", "shop", "/\\evil.example", "https://", "https://a b", "/a b",
        "https://evil.example\r\nx: y", "data:text/html,x", "https://münchen.example", "ftp://app.example/", 7,
        "https://ann:secret@app.example/", "https://a.example/\x00", "https://a.example/\x0b", "\x01https://a.example",
        "/../x", "/a//b", "/a/%2e%2e/b",
    ],
)  # fmt: skip
def test_no_home(home: object) -> None:
    """What a link must not lead to is refused."""
    with pytest.raises(ConfigurationError, match=r"site\.home"):
        Site.of({"home": home})


@pytest.mark.parametrize("color", ["red", "#12", "#12345g", "7c3aed", "#7c3aed;}", "rgb(1,2,3)", "#7c3aed\n"])
def test_no_colour(color: str) -> None:
    """A colour is in hexadecimal digits, and nothing goes into the stylesheet besides."""
    with pytest.raises(ConfigurationError, match=r"site\.color"):
        Site(color=color)


def test_a_word_that_is_none() -> None:
    """A name that a site has not is refused, with the nearest."""
    with pytest.raises(ConfigurationError, match="did you mean 'color'"):
        Site.of({"colour": "#123456"})
    with pytest.raises(ConfigurationError, match="Site"):
        Site.of("The Shop")


def test_of() -> None:
    """A mapping says the same as a site, and sites can be compared, copied and pickled."""
    site = Site(name="The Shop", color="#ABC", home="/")
    assert Site.of({"name": "The Shop", "color": "#ABC", "home": "/"}) == site
    assert Site.of(site) is site
    assert pickle.loads(pickle.dumps(copy.deepcopy(site))) == site


def test_every_colour_can_be_read() -> None:
    """Text in it, and on it, has a contrast of 4.5:1 on what it stands on (WCAG AA), light and dark, whatever it is."""
    parts = ("00", "33", "66", "7f", "99", "cc", "ff")
    for text in ("#" + "".join(three) for three in product(parts, repeat=3)):
        halves = stylesheet(text).split("@media")
        for half, grounds in zip(halves, GROUNDS.values(), strict=True):
            found = {name: colour(value) for name, value in re.findall(r"--([a-z-]+):(#[0-9a-f]{6})", half)}
            card, page = map(colour, grounds)
            assert len(found) == 5
            for front, back in (
                (found["accent"], card), (found["accent"], page), (found["accent-strong"], card),
                (found["on-accent"], found["accent"]), (found["on-accent"], found["accent-strong"]),
                (found["tint-text"], found["tint"]),
            ):  # fmt: skip
                assert contrast(front, back) >= 4.5, (text, half)


def test_a_colour_that_can_be_read_stays() -> None:
    """What is dark enough is taken as it is."""
    assert "--accent:#7c3aed" in stylesheet("#7c3aed")
    assert "--accent:#112233" in stylesheet("#123")


def test_the_grounds() -> None:
    """The colours are measured against what the stylesheet has."""
    css = (Path(__file__).parents[2] / "src/coatcheck/web/static/coatcheck.css").read_text("utf-8")
    found = re.findall(r"--(page|card): (#[0-9a-f]+);", css)
    short = {"#fff": "#ffffff"}
    assert [short.get(value, value) for _, value in found] == [
        "#f4f5f3", "#ffffff", "#111715", "#1a2220",
    ]  # fmt: skip
