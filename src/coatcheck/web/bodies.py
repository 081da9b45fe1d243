"""What requests may say: strict bodies, and reading them. Nothing of a body is ever repeated in a refusal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Self, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import Response

from ..accounts.invitations import MAX_LIFETIME
from ..credentials.encoding import parse_json
from .answers import Answer, ModeName
from .refusals import WRONG_TYPE, Refusal, invalid_request

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

MAX_LABEL: Final = 100
"""Characters of a device's label."""
_MAX_FIELDS: Final = 16
"""Fields of a form."""
_NAMED: Final = 5
"""Fields that a refusal names at most."""
_UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI: Final = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def printable(text: str) -> str:
    """The text. Raises `ValueError` when it holds characters that nobody can see or that reorder what stands around."""
    if any(unicodedata.category(char) in _UNPRINTABLE or char in _BIDI for char in text):
        raise ValueError("must not hold control characters")
    return text


Label = Annotated[str, Field(max_length=MAX_LABEL), AfterValidator(printable)]
Secret = Annotated[str, Field(repr=False)]


class Body(BaseModel):
    """A request's body: no unknown fields, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class RegisterBody(Body):
    """POST /register. With an invitation, the address is the one it is for."""

    email: str
    password: Secret
    mode: ModeName | None = None
    invitation: Annotated[str, Field(repr=False)] = ""


class LoginBody(Body):
    """POST /login."""

    email: str
    password: Secret
    mode: ModeName | None = None
    remember: bool = False
    device: Label = ""


class StepBody(Body):
    """POST /login/step. Without ``attempt``, the cookie of the steps is read. One of ``code`` and ``credential``."""

    method: Annotated[str, Field(max_length=32)]
    code: Annotated[str, Field(repr=False, max_length=1024)] = ""
    credential: Annotated[dict[str, Any], Field(repr=False)] = {}
    attempt: Annotated[str | None, Field(repr=False)] = None


class RefreshBody(Body):
    """POST /refresh. Without a token, the refresh cookie is read."""

    refresh_token: Annotated[str | None, Field(repr=False)] = None


class NoBody(Body):
    """Nothing, or an empty object."""


class InvitationBody(Body):
    """POST /admin/invitations. ``expires_in``: whole seconds."""

    email: str
    roles: list[str] = []
    expires_in: Annotated[int, Field(ge=1, le=int(MAX_LIFETIME))] = 604800


class LabelBody(Body):
    """PATCH /sessions/{id}."""

    label: Label


class PasswordBody(Body):
    """POST /reauthenticate."""

    password: Secret


class ChangePasswordBody(Body):
    """POST /password."""

    current_password: Secret
    new_password: Secret


class SubjectPatch(Body):
    """PATCH /admin/subjects/{id}: one of the two at least."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    roles: list[str] = []
    status: Literal["active", "disabled"] = "active"

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("roles or status is needed")
        return self


BodyT = TypeVar("BodyT", bound=Body)


def content_type(request: Request) -> str:
    """The media type of the body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, model: type[BodyT], *, optional: bool = False) -> BodyT:
    """The body as this model. ``optional``: an empty body counts as ``{}``.

    Raises `Refusal`: 415 for another content type, 422 for what is not this object."""
    data = await request.body()
    if optional and not data:
        return model()
    if content_type(request) != JSON:
        raise Refusal(WRONG_TYPE)
    try:
        value = parse_json(data)
    except ValueError as error:
        raise invalid_request(f"The body is not acceptable JSON: {error}.") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_request(complaint(error.errors(include_url=False, include_input=False))) from None


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, each once. Raises `Refusal`: 415 for another content type, 400 for what is not a form
    (RFC 6749 §5.2)."""
    if content_type(request) != FORM:
        raise Refusal(WRONG_TYPE)
    data = await request.body()
    try:
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise invalid_request("The form cannot be read.", 400) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise invalid_request("A field is there twice.", 400)
    return fields


async def read_token(request: Request) -> str:
    """The ``token`` of RFC 7009 and 7662, which say to ignore parameters that one does not know."""
    token = (await read_form(request)).get("token", "")
    if not token:
        raise invalid_request("token: is needed.", 400)
    return token


def answer_json(answer: Answer, status: int = 200) -> Response:
    """The answer as JSON; fields that were not set are left out."""
    return Response(answer.model_dump_json(exclude_unset=True), status_code=status, media_type=JSON)


def complaint(errors: Iterable[Any], skip: int = 0) -> str:
    """Which fields are wrong and how, in words that hold none of what was in them. ``skip``: leading parts of a field's
    place to leave out."""
    said = []
    for error in list(errors)[:_NAMED]:
        place = ".".join(_shown(part) for part in error["loc"][skip:])
        said.append(f"{place}: {_reason(error)}" if place else _reason(error))
    return "; ".join(said) + "."


def _shown(part: object) -> str:
    return "".join(char if char.isprintable() else "?" for char in str(part)[:64])


def _reason(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ").lower()
