"""Where ``next`` may lead: to this site and nowhere else."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.web.destination import MAX_LENGTH, safe_next

SITE = "https://app.example"

ELSEWHERE = [
    "",
    " ",
    "https://evil.example",
    "http://evil.example/",
    "HTTPS://EVIL.EXAMPLE",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https:\\\\evil.example",
    "//evil.example",
    "//evil.example/%2e%2e",
    "//evil.example:443/",
    "//evil.example?/",
    "//evil.example#/",
    "//user@evil.example",
    "//app.example@evil.example",
    "///evil.example",
    "////evil.example",
    "/////evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\evil.example",
    "/\\/evil.example",
    "\\evil.example",
    "/\\\\evil.example",
    "//\\evil.example",
    "/path\\..\\..\\evil",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "/\r\n/evil.example",
    "\t//evil.example",
    "\n//evil.example",
    " //evil.example",
    " https://evil.example",
    "/ /evil.example",
    "/\x00/evil.example",
    "\x00//evil.example",
    "/\x0b/evil.example",
    "/\x7f/evil.example",
    "/\x85/evil.example",
    "/\xa0/evil.example",
    "/\u2028/evil.example",
    "/\u200b/evil.example",
    "/\ufeff/evil.example",
    "/\uff0fevil.example",
    "\uff0f\uff0fevil.example",
    "/\u2044evil.example",
    "/./evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/../evil.example",
    "/%2e//evil.example",
    "/%2E%2e/evil.example",
    "/%2e%2e//evil.example",
    "/a/..//evil.example",
    "/a/../../evil.example",
    "/a//evil.example",
    "/a/.",
    "/a/..?x",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "javascript://app.example/%0aalert(1)",
    "\x01javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "blob:https://app.example/1",
    "file:///etc/passwd",
    "mailto:a@evil.example",
    "evil.example",
    "evil.example/path",
    "@evil.example",
    ".evil.example",
    "account",
    "./account",
    "../account",
    "?next=/account",
    "#account",
    ";//evil.example",
    "/account\r\nSet-Cookie: coatcheck=ccs_x",
    "/account\nLocation: https://evil.example",
    "/\ud800",
    f"/{'a' * MAX_LENGTH}",
]

HERE = [
    "/",
    "/account",
    "/a/b/c/",
    "/auth/devices?cursor=ab%3D%3D",
    "/search?q=a+b&u=https://evil.example/",
    "/search?q=//evil.example",
    "/search?q=../..",
    "/#/route//x",
    "/a#../..",
    "/a:b@c;d=e,f!$&'()*~_-.",
    "/.well-known/change-password",
    "/a..b/...",
    "/%2f%2fevil.example",
    "/%5cevil.example",
    "/%09/evil.example",
    "/caf%C3%A9",
    f"/{'a' * (MAX_LENGTH - 1)}",
]


@pytest.mark.parametrize("value", ELSEWHERE)
def test_refused(value: str) -> None:
    """What leads elsewhere, or might in some browser or proxy, counts as nothing."""
    assert safe_next(value) == ""


@pytest.mark.parametrize("value", HERE)
def test_kept(value: str) -> None:
    """A path of this site is kept as it is, with its query and fragment."""
    assert safe_next(value) == value


def as_browsers_read_it(value: str) -> str:
    """The URL after the steps of the WHATWG URL parser that open redirects live on, resolved against the site."""
    text = re.sub(r"[\t\n\r]", "", value.strip("".join(map(chr, range(0x21)))))
    head, mark, rest = re.match(r"([^?#]*)([?#]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return urljoin(f"{SITE}/auth/login", head.replace("\\", "/") + mark + rest)


@given(st.text(st.sampled_from("/\\.%2e5cf:?#@ \t\n\x00aevil-\u2028\uff0f"), max_size=24))
def test_never_leaves(value: str) -> None:
    """Whatever is kept resolves to this site, also once more after a proxy or router has resolved it."""
    kept = safe_next(value)
    assert kept in ("", value)
    if kept:
        once = as_browsers_read_it(kept)
        parts = urlsplit(once)
        assert f"{parts.scheme}://{parts.netloc}" == SITE
        again = urlsplit(as_browsers_read_it(parts.path))
        assert again.netloc == urlsplit(SITE).netloc
