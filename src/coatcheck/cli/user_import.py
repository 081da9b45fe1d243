"""``coatcheck user import``: accounts of another system, with the password hashes it has."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from ..accounts.foreign_hashes import NotInstalled
from ..credentials.encoding import parse_json
from ..errors import ConfigurationError, EmailTaken, Rejected
from ..model import Account
from .deployment import Deployment, json_option, run, store_options
from .output import answer

_REQUIRED: Final = frozenset({"email", "password_hash"})
_CSV: Final = _REQUIRED | {"roles", "id", "disabled", "created"}
_JSON: Final = _CSV | {"claims"}
_SHOWN: Final = 20
"""Lines that the text names at most; with ``--json`` all are."""
_NUMBER: Final = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")


@dataclass
class Report:
    """What happened, or would. ``refused``: line numbers and reasons; never an address or a hash."""

    imported: int = 0
    present: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)

    def text(self, dry_run: bool) -> str:
        lines = [f"line {line}: {reason}" for line, reason in self.refused[:_SHOWN]]
        if len(self.refused) > _SHOWN:
            lines.append(f"and {len(self.refused) - _SHOWN} more lines")
        if not self.refused:
            done = "would import" if dry_run else "imported"
            lines.append(f"{done} {_accounts(self.imported)}; {_accounts(self.present)} left as they are")
        return "\n".join(lines)

    def as_json(self, dry_run: bool) -> dict[str, Any]:
        refused = [{"line": line, "reason": reason} for line, reason in self.refused]
        return {"dry_run": dry_run, "imported": self.imported, "present": self.present, "refused": refused}


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything and change nothing.")
@store_options
@json_option
def command(file: Path, dry_run: bool, as_json: bool, **where: str | None) -> None:
    """Import accounts from FILE, .csv with a first line of names or .jsonl with an object a line.

    Needed are email and password_hash; allowed are roles (in CSV separated by spaces), id, disabled (true or false),
    created (seconds since 1970, or a date with time and zone) and, in JSON, claims. Hashes may be bcrypt, argon2, and
    PBKDF2 and scrypt as Django, Werkzeug and Passlib write them.

    All lines are checked before the first account is made: one that cannot be imported, and nothing is changed. An
    address that has an account already is left as it is, so the same command again completes an import that broke off.

    \b
    coatcheck user import users.csv --dry-run
    coatcheck user import users.jsonl
    """
    if file.suffix not in (".csv", ".jsonl"):
        raise click.UsageError("the name of the file must end in .csv or .jsonl")

    async def work(deployment: Deployment) -> Report:
        report = await _checked(deployment, file)
        return report if report.refused or dry_run else await _imported(deployment, file)

    report = run(work, **where)
    answer(report.as_json(dry_run), as_json=as_json, text=report.text(dry_run))
    if report.refused:
        raise Rejected(f"{len(report.refused)} of the lines cannot be imported; nothing was changed")


async def _checked(deployment: Deployment, file: Path) -> Report:
    report = Report()
    addresses: dict[str, int] = {}
    ids: dict[str, int] = {}
    for line, row in _rows(file):
        try:
            account = _account(deployment, row)
            if (first := addresses.setdefault(account.email_key, line)) != line:
                raise Rejected(f"the same address is on line {first}")
            if (first := ids.setdefault(account.id, line)) != line:
                raise Rejected(f"the same id is on line {first}")
            if await deployment.account_store.by_email(account.email_key) is not None:
                report.present += 1
            elif await deployment.account_store.by_id(account.id) is not None:
                raise Rejected("another account has this id")
            else:
                report.imported += 1
        except NotInstalled as error:  # of every such line the same, and none of them can be mended in the file
            raise ConfigurationError(str(error)) from error
        except Rejected as error:
            report.refused.append((line, str(error)))
    return report


async def _imported(deployment: Deployment, file: Path) -> Report:
    report = Report()
    for _, row in _rows(file):
        try:
            await deployment.account_store.insert(_account(deployment, row))
            report.imported += 1
        except EmailTaken:
            report.present += 1
    return report


def _account(deployment: Deployment, row: Mapping[str, Any] | Rejected) -> Account:
    """The account of a row. Raises `Rejected`."""
    if isinstance(row, Rejected):
        raise row
    email, password_hash, account_id = row["email"], row["password_hash"], row.get("id")
    roles, claims, disabled = row.get("roles", ()), row.get("claims", {}), row.get("disabled", False)
    if not isinstance(email, str) or not isinstance(password_hash, str):
        raise Rejected("email and password_hash must be texts")
    if not isinstance(roles, list | tuple) or not all(isinstance(role, str) for role in roles):
        raise Rejected("roles must be a list of texts")
    if not isinstance(claims, dict) or not isinstance(disabled, bool) or not isinstance(account_id, str | None):
        raise Rejected("claims must be an object, disabled true or false, and id a text")
    return deployment.accounts.adoptable(
        email, password_hash, roles=roles, claims=claims, disabled=disabled, account_id=account_id,
        created=None if row.get("created") is None else _time(row["created"]),
    )  # fmt: skip


def _rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any] | Rejected]]:
    """The line numbers and what is there, or why that is no row. Raises `Rejected` for a file that is none."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield from _csv(lines) if file.suffix == ".csv" else _jsonl(lines)
    except UnicodeDecodeError as error:
        raise Rejected("the file is not in UTF-8") from error
    except csv.Error as error:
        raise Rejected("the file is not CSV") from error


def _csv(lines: Iterator[str]) -> Iterator[tuple[int, Mapping[str, Any] | Rejected]]:
    reader = csv.reader(lines, strict=True)
    names = next(reader, [])
    if len(set(names)) < len(names) or not _REQUIRED <= set(names) <= _CSV:
        raise Rejected(f"the first line must name email, password_hash and at most {_others(_CSV)}")
    for cells in reader:
        if not cells:
            continue
        if len(cells) != len(names):
            yield reader.line_num, Rejected(f"there are {len(cells)} fields and not {len(names)}")
            continue
        row: dict[str, Any] = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
        if "roles" in row:
            row["roles"] = row["roles"].split()
        if "disabled" in row:
            row["disabled"] = {"true": True, "false": False}.get(row["disabled"], row["disabled"])
        yield reader.line_num, row if row.keys() >= _REQUIRED else Rejected("email or password_hash is missing")


def _jsonl(lines: Iterator[str]) -> Iterator[tuple[int, Mapping[str, Any] | Rejected]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line.strip().encode())
        except ValueError:
            yield number, Rejected("this is not JSON")
            continue
        if not isinstance(row, dict) or not _REQUIRED <= row.keys() <= _JSON:
            yield (
                number,
                Rejected(f"an object with email, password_hash and of the others only {_others(_JSON)} is needed"),
            )
        else:
            yield number, row


def _time(value: object) -> float:
    """Seconds since the Unix epoch."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return float(value)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None and moment.timestamp() >= 0:
            return moment.timestamp()
    raise Rejected("created must be seconds since 1970, or a date with time and zone")


def _others(names: frozenset[str]) -> str:
    return ", ".join(sorted(names - _REQUIRED))


def _accounts(count: int) -> str:
    return "1 account" if count == 1 else f"{count} accounts"
