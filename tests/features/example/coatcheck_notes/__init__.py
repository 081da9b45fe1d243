"""Notes that people keep for themselves: a feature with a table, a route, a page and a command."""

from pathlib import Path

import click
from msgspec import Struct
from sqlalchemy import Column, MetaData, Table, Text, func, insert, select
from starlette.responses import JSONResponse
from starlette.routing import Route

from coatcheck.cli.deployment import run, store_options
from coatcheck.errors import Rejected
from coatcheck.features import Feature, Link, Page, Tables
from coatcheck.web.access import require_identity
from coatcheck.web.bodies import Body, read_json

METADATA = MetaData()
NOTES = Table("coatcheck_notes", METADATA, Column("subject", Text, index=True), Column("text", Text))


class Note(Body):
    text: str


class Notes(Feature):
    name, templates = "notes", "coatcheck_notes"
    tables = Tables(METADATA, Path(__file__).parent / "migrations")

    class Settings(Struct):
        longest: int = 500

    def __init__(self, longest: int = 500) -> None:
        self.longest = longest

    async def keep(self, auth, subject, text):
        if not 0 < len(text) <= self.longest:
            raise Rejected(f"a note has 1 to {self.longest} characters")
        await auth.database.write(lambda tx: tx.execute(insert(NOTES).values(subject=subject, text=text)))

    async def of(self, auth, subject):
        own = select(NOTES.c.text).where(NOTES.c.subject == subject)
        return await auth.database.read(lambda tx: list(tx.execute(own).scalars()))

    def routes(self, auth, keys):
        async def notes(request):
            auth, identity = await require_identity(request)
            if request.method == "POST":
                await self.keep(auth, identity.subject, (await read_json(request, Note)).text)
            return JSONResponse({"notes": await self.of(auth, identity.subject)})

        return [Route("/api/notes", notes, methods=["GET", "POST"])]

    def pages(self, auth):
        async def page(visit):
            if visit.identity is None:
                return visit.log_in_first("/notes")
            if visit.request.method == "POST":
                form = await visit.form(visit.identity.session_id)
                await self.keep(visit.auth, visit.identity.subject, form.get("text", ""))
            return visit.page("notes/notes", notes=await self.of(visit.auth, visit.identity.subject))

        return [Page("GET", "/notes", page), Page("POST", "/notes", page)]

    def navigation(self, auth):
        return [Link("/notes", "Notes")]

    @classmethod
    def commands(cls):
        return [count]


@click.command("notes")
@store_options
def count(**where):
    """Say how many notes there are."""

    async def work(deployment):
        counted = select(func.count()).select_from(NOTES)
        return await deployment.store.database.read(lambda tx: tx.execute(counted).scalar())

    click.echo(f"{run(work, **where)} notes")
