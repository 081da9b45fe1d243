"""Every error that Coatcheck raises on purpose.

::

    CoatcheckError
    ├── ConfigurationError          a setting, key or file is wrong; say so at start and stop
    │   ├── InvalidKey              a signing key or key set that must not be used
    │   └── SchemaMismatch          the database is older or newer than this program
    ├── StoreUnavailable            the store did not answer; never an answer of "yes" (HTTP 503)
    ├── InvalidCredential           what was presented is refused (HTTP 401, always the same words)
    │   ├── MalformedCredential     not one of ours in form: encoding, size, type of a claim
    │   ├── ForgedCredential        the MAC, the signature or the header is not ours
    │   ├── ExpiredCredential       its time has passed, or has not begun
    │   ├── RevokedCredential       its session, subject or token was ended
    │   ├── StaleCredential         the subject has changed since; refreshing helps
    │   ├── ReusedCredential        an old refresh token came back; its session was ended
    │   └── SessionEnded            what a guarded connection stood on has ended while it was open
    ├── NotLoggedIn                 nothing was presented where somebody is needed (HTTP 401)
    ├── InvalidLogin                unknown account, wrong password or disabled account, alike (HTTP 401)
    │   ├── StepRequired            who it is was proved, and more is required (HTTP 202 from the service)
    │   ├── InvalidStep             a wrong answer to a step
    │   └── AttemptOver             the login under way was finished, has ended, or is none of ours
    ├── Throttled                   too many tries (HTTP 429)
    ├── CrossSite                   a state-changing request rode on a cookie from elsewhere (HTTP 403)
    ├── Forbidden                   a known subject without the right (HTTP 403)
    │   └── LoginTooOld             the subject must prove again who they are (HTTP 401, RFC 9470)
    ├── NotFound                    there is no such thing, or it is someone else's (HTTP 404)
    ├── Conflict                    someone else was faster; nothing was changed (HTTP 409)
    │   ├── EmailTaken
    │   └── LimitReached            the subject has as many keys, grants or administrators acting as it may
    └── Rejected                    input that breaks a rule; nothing was changed (HTTP 422)
        ├── WeakPassword
        ├── InvalidEmail
        └── SessionTooLarge         roles and claims do not fit into the token of its mode

``str(error)`` is for logs and operators. It never holds a credential, a password or a key; what a client may
read is decided by whoever answers it, not here.
"""

from __future__ import annotations


class CoatcheckError(Exception):
    """The root of the tree. Catch it to catch all that Coatcheck raises on purpose."""


class ConfigurationError(CoatcheckError):
    """A setting, a key or a file is wrong. The text is one line that says what to do."""


class InvalidKey(ConfigurationError):
    """A key or a key set that must not be used: too short, mixed, duplicate id, point off the curve."""


class SchemaMismatch(ConfigurationError):
    """The database's schema is not the one this version of Coatcheck works with."""


class StoreUnavailable(CoatcheckError):
    """The store did not answer, whatever its driver said. The driver's error is the ``__cause__``."""


class InvalidCredential(CoatcheckError):
    """What was presented is refused.

    ``reason`` says which check failed, in words for the log. Clients only ever see ``invalid_credential``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MalformedCredential(InvalidCredential):
    """Not one of ours in form: encoding, size, the type of a claim, or the same cookie twice."""


class ForgedCredential(InvalidCredential):
    """The MAC, the signature or the header segment is not one of ours."""


class ExpiredCredential(InvalidCredential):
    """Its time has passed, or lies in the future, or is longer than policy allows."""


class RevokedCredential(InvalidCredential):
    """Its session, its subject's sessions or this one token were ended."""


class StaleCredential(InvalidCredential):
    """The subject's roles, status or claims have changed since it was issued. A refresh helps."""


class ReusedCredential(InvalidCredential):
    """A refresh token that was replaced came back outside the reuse window; its session has been ended."""


class SessionEnded(InvalidCredential):
    """A guarded connection is over: its session, its subject's sessions or its token were ended, its subject has
    changed since, or its time has passed."""


class NotLoggedIn(CoatcheckError):
    """Nothing was presented, and this is not for everybody."""


class InvalidLogin(CoatcheckError):
    """The login is refused. ``reason`` is for the log; the client sees the same answer for every reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StepRequired(InvalidLogin):
    """Who it is was proved, and more is required: nobody is logged in yet. Go on with `Auth.finish_login`."""

    def __init__(self, methods: tuple[str, ...], attempt: str, *, expires_in: int) -> None:
        super().__init__("a further step is required")
        self.methods = methods
        """The steps of which one is needed, such as ``("totp", "recovery_code")``."""
        self.attempt = attempt
        """The login under way, ``cca_…``: a secret of whoever is logging in. For their browser or program alone."""
        self.expires_in = expires_in
        """Whole seconds in which it must be finished."""


class InvalidStep(InvalidLogin):
    """A wrong answer to a step. The login under way goes on, as often as the limits allow."""


class AttemptOver(InvalidLogin):
    """The login under way was finished, has ended, or is none of ours: it begins anew."""


class Throttled(CoatcheckError):
    """Too many tries. ``retry_after`` is in whole seconds, at least 1."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many tries; try again in {retry_after} s")
        self.retry_after = retry_after


class CrossSite(CoatcheckError):
    """A state-changing request rode on a cookie and could not show that it comes from the same origin."""


class Forbidden(CoatcheckError):
    """The subject is known, but lacks the role."""


class LoginTooOld(CoatcheckError):
    """The subject proved who they are too long ago for this: whoever proves it again is let in, so it is no kind of
    `Forbidden`. ``max_age`` is how many seconds would do."""

    def __init__(self, max_age: float) -> None:
        super().__init__(f"a login within the last {max_age:g} s is needed")
        self.max_age = max_age


class NotFound(CoatcheckError):
    """There is no such thing, or it belongs to someone else; the two are never told apart."""


class Conflict(CoatcheckError):
    """Someone else was faster (a compare-and-set lost). Nothing was changed."""


class EmailTaken(Conflict):
    """Another account has this e-mail address."""


class LimitReached(Conflict):
    """The subject has as many live sessions of this kind as it may. End one first."""


class Rejected(CoatcheckError):
    """Input that breaks a rule. ``code`` is stable and public, the text is for people; nothing was changed."""

    code = "rejected"


class WeakPassword(Rejected):
    """The new password is too short, too long, or one that everybody guesses first."""

    code = "weak_password"


class InvalidEmail(Rejected):
    """The e-mail address is not one."""

    code = "invalid_email"


class SessionTooLarge(Rejected):
    """Roles and claims make a token that is too long for what carries it. No session was made, no token rotated."""

    code = "session_too_large"
