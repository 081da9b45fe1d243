"""Opaque tokens: a prefix that scanners can find, an id, and a MAC.

The store keeps ids only. A token is told from a made-up one by its MAC alone, so what is not ours never reaches the
store. Every kind has its own key and its own purpose in the MAC's input, and every field goes in with its length; so no
token of one kind, and no other split of the same bytes, is ever a token of another. A token is compared as a whole with
the text that we would have made: no other spelling of it is accepted.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets as random
from typing import Final

from coatcheck.credentials import encoding
from coatcheck.credentials.keyring import Secrets
from coatcheck.credentials.mac import Mac, keyed
from coatcheck.errors import CrossSite, ForgedCredential, MalformedCredential, Rejected

SESSION_PREFIX: Final = "ccs_"
REFRESH_PREFIX: Final = "ccr_"
CSRF_PREFIX: Final = "ccf_"
INVITATION_PREFIX: Final = "cci_"
FORM_PREFIX: Final = "ccd_"
ATTEMPT_PREFIX: Final = "cca_"

_SLOT_BYTES: Final = 2
_RANDOM_BYTES: Final = 16
"""128 random bits in an id, from the system's source: OWASP ASVS 7.2.3."""
_ID: Final = 24
"""Characters of an id: 18 bytes."""
_GENERATION: Final = 8
"""Characters of a generation: 6 bytes."""
_STAMP_BYTES: Final = 6
"""Of the time at which a form's value was made, in seconds."""
_NONCE: Final = 16
"""Characters of a CSRF token's nonce: 12 bytes."""
_MAC: Final = 32
"""Characters of a MAC."""
_MAC_BYTES: Final = 24
"""Of HMAC-SHA256."""

MAX_CARRIED: Final = 8192
"""Characters of what carries something: an invitation's address and 64 roles of 64 characters fit in."""

_is_id: Final = re.compile(rf"[A-Za-z0-9_-]{{{_ID}}}", re.ASCII).fullmatch


def new_session_id(subject: str) -> str:
    """A fresh session id: two bytes that place it in the subject's slot, and 128 random bits. 24 characters."""
    return encoding.encode(subject_slot(subject) + random.token_bytes(_RANDOM_BYTES))


def is_session_id(text: str) -> bool:
    """Whether this has the form of a session id. Says nothing about whether there is such a session."""
    return _is_id(text) is not None


def subject_slot(subject: str) -> bytes:
    """The two bytes with which every session id of this subject begins. Raises `Rejected` for half a surrogate pair."""
    try:
        return hashlib.sha256(subject.encode("utf-8")).digest()[:_SLOT_BYTES]
    except UnicodeEncodeError as error:
        raise Rejected("a subject's id must be valid Unicode") from error


def session_slot(session_id: str) -> bytes:
    """The same two bytes, read from a session id. Raises `MalformedCredential` for what is not one."""
    if not is_session_id(session_id):
        raise MalformedCredential("not a session id")
    return encoding.decode(session_id)[:_SLOT_BYTES]


class Stamp:
    """Makes and checks tokens of one kind: ``prefix + body + MAC``. All secrets verify, the newest stamps.

    ``purpose`` must be unique to the kind. Fields are what the MAC covers, in order.
    """

    __slots__ = ("_macs", "prefix")

    def __init__(self, secrets: Secrets, prefix: str, purpose: str) -> None:
        self.prefix: str = prefix
        label = _framed(purpose.encode("utf-8"))
        self._macs = tuple(keyed(key, prefix=label) for key in secrets.derive(purpose))

    def make(self, body: str, *fields: bytes) -> str:
        """The token with this body, under the newest secret."""
        return self._text(self._macs[0], body, b"".join(map(_framed, fields)))

    def check(self, token: str, body: str, *fields: bytes) -> None:
        """Raises `ForgedCredential` unless the token is exactly what one of the secrets would make of this."""
        given = token.encode("utf-8", "surrogatepass")
        message = b"".join(map(_framed, fields))
        for mac in self._macs:
            if hmac.compare_digest(self._text(mac, body, message).encode("ascii"), given):
                return
        raise ForgedCredential("the MAC is wrong")

    def _text(self, mac: Mac, body: str, message: bytes) -> str:
        return f"{self.prefix}{body}{encoding.encode(mac(message)[:_MAC_BYTES])}"


def _framed(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


class OpaqueTokens:
    """The session token, the refresh token, the CSRF token, the invitation, the value of a form and the attempt."""

    __slots__ = ("_attempt", "_csrf", "_form", "_invitation", "_of_form", "_refresh", "_session")

    def __init__(self, secrets: Secrets) -> None:
        self._session = Stamp(secrets, SESSION_PREFIX, "session-token")
        self._refresh = Stamp(secrets, REFRESH_PREFIX, "refresh-token")
        self._csrf = Stamp(secrets, CSRF_PREFIX, "csrf-token")
        self._invitation = Stamp(secrets, INVITATION_PREFIX, "invitation")
        self._attempt = Stamp(secrets, ATTEMPT_PREFIX, "attempt")
        self._form = Stamp(secrets, FORM_PREFIX, "form")
        self._of_form = Stamp(secrets, "", "session-of-form")

    def session_token(self, session_id: str) -> str:
        """The token that stands for this session: 60 characters."""
        return self._session.make(session_id, session_id.encode("ascii"))

    def read_session_token(self, token: str) -> str:
        """The session id. Raises `MalformedCredential` for the wrong form, `ForgedCredential` for a wrong MAC."""
        body = _body(token, SESSION_PREFIX, _ID)
        self._session.check(token, body, body.encode("ascii"))
        return body

    def refresh_token(self, session_id: str, generation: int) -> str:
        """The refresh token of this generation: 68 characters, the same for whoever asks under the same secret."""
        number = generation.to_bytes(_GENERATION * 3 // 4, "big")
        return self._refresh.make(session_id + encoding.encode(number), session_id.encode("ascii"), number)

    def read_refresh_token(self, token: str) -> tuple[str, int]:
        """Session id and generation. Raises `MalformedCredential` or `ForgedCredential` as `read_session_token`."""
        body = _body(token, REFRESH_PREFIX, _ID + _GENERATION)
        session_id, number = body[:_ID], encoding.decode(body[_ID:])
        self._refresh.check(token, body, session_id.encode("ascii"), number)
        return session_id, int.from_bytes(number, "big")

    def csrf_token(self, session_id: str) -> str:
        """A token for this session's forms: 52 characters, other ones each time, so that compressing a page that
        repeats it gives nothing away (BREACH)."""
        nonce = encoding.encode(random.token_bytes(_NONCE * 3 // 4))
        return self._csrf.make(nonce, session_id.encode("ascii"), nonce.encode("ascii"))

    def check_csrf_token(self, token: str, session_id: str) -> None:
        """Raises `CrossSite` unless it was made for this session."""
        try:
            nonce = _body(token, CSRF_PREFIX, _NONCE)
            self._csrf.check(token, nonce, session_id.encode("ascii"), nonce.encode("ascii"))
        except (MalformedCredential, ForgedCredential) as error:
            raise CrossSite(f"the CSRF token is not of this session: {error.reason}") from None

    def invitation(self, content: bytes) -> str:
        """A token that carries this."""
        return self._invitation.make(encoding.encode(content), content)

    def read_invitation(self, token: str) -> bytes:
        """What it carries. Raises `MalformedCredential` or `ForgedCredential` as `read_session_token`."""
        return _carried(self._invitation, token)

    def attempt(self, content: bytes) -> str:
        """A token that carries this: a login under way."""
        return self._attempt.make(encoding.encode(content), content)

    def read_attempt(self, token: str) -> bytes:
        """What it carries. Raises `MalformedCredential` or `ForgedCredential` as `read_session_token`."""
        return _carried(self._attempt, token)

    def form_value(self, now: float) -> str:
        """A value for one form, by which it is known when it is sent twice: 60 characters."""
        body = encoding.encode(int(now).to_bytes(_STAMP_BYTES, "big") + random.token_bytes(12))
        return self._form.make(body, body.encode("ascii"))

    def read_form_value(self, value: str) -> int:
        """When it was made. Raises `MalformedCredential` or `ForgedCredential` as `read_session_token`."""
        body = _body(value, FORM_PREFIX, _ID)
        self._form.check(value, body, body.encode("ascii"))
        return int.from_bytes(encoding.decode(body)[:_STAMP_BYTES], "big")

    def session_of_form(self, value: str, subject: str) -> str:
        """The id of the session that this subject's login with this form makes. As unpredictable as a fresh one, to
        whoever has the form too, and the same in every process under the same newest secret."""
        mac = encoding.decode(self._of_form.make("", value.encode(), subject.encode()))
        return encoding.encode(subject_slot(subject) + mac[:_RANDOM_BYTES])


def _carried(stamp: Stamp, token: str) -> bytes:
    if len(token) > MAX_CARRIED:
        raise MalformedCredential("too long to be ours")
    body = _body(token, stamp.prefix, len(token) - len(stamp.prefix) - _MAC)
    content = encoding.decode(body)
    stamp.check(token, body, content)
    return content


def _body(token: str, prefix: str, size: int) -> str:
    """What lies between prefix and MAC, once length, prefix and alphabet are right."""
    if len(token) != len(prefix) + size + _MAC or not token.startswith(prefix):
        raise MalformedCredential("not a token of this kind")
    body = token[len(prefix) : -_MAC]
    if not _is_text(body):
        raise MalformedCredential("not canonical base64url")
    return body


_is_text: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII).fullmatch
