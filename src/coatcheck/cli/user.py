"""``coatcheck user``: Coatcheck's own accounts."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from ..accounts.invitations import invite
from ..credentials.opaque import OpaqueTokens
from ..errors import WeakPassword
from ..model import Account
from . import user_import
from .deployment import Deployment, json_option, run, store_options
from .output import answer, printable, table, timestamp


@click.group("user", short_help="Add, import, list, disable and enable accounts, and set their passwords and roles.")
def command() -> None:
    """Accounts with an e-mail address and a password.

    USER is an e-mail address or an account's id.
    """


command.add_command(user_import.command)


@command.command("add")
@click.argument("email")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="Give this role; may be repeated.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@store_options
@json_option
def add(email: str, roles: tuple[str, ...], password_stdin: bool, as_json: bool, **where: str | None) -> None:
    """Add an account. Asks for the password; it is never part of the command line.

    \b
    coatcheck user add ann@example.com --role admin
    pass show ann | coatcheck user add ann@example.com --password-stdin
    """
    password = _password(password_stdin)

    async def work(deployment: Deployment) -> Account:
        return await deployment.accounts.register(email, password, roles=roles)

    account = run(work, **where)
    answer({"subject": as_subject(account)}, as_json=as_json, text=f"added {_line(account)}")


@command.command("invite")
@click.argument("email")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="Give this role; may be repeated.")
@click.option("--days", default=7, type=click.IntRange(1, 90), help="Days that it lasts.  [default: 7]")
@store_options
@json_option
def invite_(email: str, roles: tuple[str, ...], days: int, as_json: bool, **where: str | None) -> None:
    """Make an invitation to sign up, for where registration is by invitation. It is for this address and counts once.

    \b
    coatcheck user invite ann@example.com --role editor
    """

    async def work(deployment: Deployment) -> str:
        opaque = OpaqueTokens(deployment.secrets())
        return invite(
            opaque, deployment.events, email, roles=roles, lifetime=days * 86400.0, now=deployment.clock.now()
        )

    text = run(work, **where)
    answer({"invitation": text}, as_json=as_json, text=f"/auth/signup?invitation={text}")


@command.command("list")
@click.option("--search", default="", metavar="TEXT", help="Only addresses that contain this text.")
@click.option("--limit", default=50, type=click.IntRange(1, 200), help="Rows of one page.  [default: 50]")
@click.option("--cursor", metavar="CURSOR", help="Go on where the page before ended.")
@store_options
@json_option
def list_(search: str, limit: int, cursor: str | None, as_json: bool, **where: str | None) -> None:
    """List accounts, newest first."""

    async def work(deployment: Deployment) -> Any:
        return await deployment.account_store.page(search=search, limit=limit, cursor=cursor)

    page = run(work, **where)
    subjects = [as_subject(account) for account in page.accounts]
    rows = [(s["id"], s["email"], s["status"], " ".join(s["roles"]) or "-", s["created_at"]) for s in subjects]
    text = table(("ID", "EMAIL", "STATUS", "ROLES", "CREATED"), rows) if rows else "no accounts"
    if page.next:
        text += f"\nThere are more: --cursor {page.next}"
    answer({"subjects": subjects, "next": page.next}, as_json=as_json, text=text)


@command.command("password")
@click.argument("user")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@store_options
@json_option
def set_password(user: str, password_stdin: bool, as_json: bool, **where: str | None) -> None:
    """Set a new password for USER and end all sessions. Asks for it; it is never part of the command line.

    \b
    coatcheck user password ann@example.com
    pass show ann | coatcheck user password ann@example.com --password-stdin
    """
    password = _password(password_stdin)

    async def work(deployment: Deployment) -> Account:
        account = await deployment.account(user)
        await deployment.accounts.set_password(account.id, password)
        return account

    account = run(work, **where)
    text = f"set the password of {_line(account)}; all sessions ended"
    answer({"subject": as_subject(account)}, as_json=as_json, text=text)


@command.command("disable")
@click.argument("user")
@store_options
@json_option
def disable(user: str, as_json: bool, **where: str | None) -> None:
    """Refuse USER's logins from now on and end all sessions."""

    async def work(deployment: Deployment) -> Account:
        account = await deployment.account(user)
        await deployment.accounts.disable(account.id)
        return replace(account, disabled=True)

    account = run(work, **where)
    text = f"disabled {_line(account)}; all sessions ended"
    answer({"subject": as_subject(account)}, as_json=as_json, text=text)


@command.command("enable")
@click.argument("user")
@store_options
@json_option
def enable(user: str, as_json: bool, **where: str | None) -> None:
    """Let USER log in again. Sessions that were ended stay ended."""

    async def work(deployment: Deployment) -> Account:
        account = await deployment.account(user)
        await deployment.accounts.enable(account.id)
        return replace(account, disabled=False)

    account = run(work, **where)
    answer({"subject": as_subject(account)}, as_json=as_json, text=f"enabled {_line(account)}")


@command.command("roles")
@click.argument("user")
@click.argument("roles", nargs=-1, metavar="[ROLE]...")
@click.option("--none", is_flag=True, help="Take all roles away.")
@store_options
@json_option
def set_roles(user: str, roles: tuple[str, ...], none: bool, as_json: bool, **where: str | None) -> None:
    """Show USER's roles, or set them to exactly those given. They count at once.

    \b
    coatcheck user roles ann@example.com                  show
    coatcheck user roles ann@example.com admin editor     set
    coatcheck user roles ann@example.com --none           take all away
    """
    if none and roles:
        raise click.UsageError("give either roles or --none")

    async def work(deployment: Deployment) -> Account:
        account = await deployment.account(user)
        if not roles and not none:
            return account
        await deployment.accounts.set_roles(account.id, roles)
        return await deployment.accounts.get(account.id)

    account = run(work, **where)
    answer({"subject": as_subject(account)}, as_json=as_json, text=_line(account))


def as_subject(account: Account) -> dict[str, Any]:
    """An account as the HTTP API shows it."""
    return {
        "id": account.id,
        "email": account.email,
        "roles": sorted(account.roles),
        "status": "disabled" if account.disabled else "active",
        "created_at": timestamp(account.created),
    }


def _line(account: Account) -> str:
    roles = ", ".join(sorted(account.roles)) or "none"
    return f"{printable(account.email)} (id {account.id}, roles: {roles})"


def _password(from_stdin: bool) -> str:
    if from_stdin:
        try:
            return sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            raise WeakPassword("the password is not text in the encoding of standard input") from None
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password; use --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
