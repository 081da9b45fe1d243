"""An application's users in a SQLite file, and a process of its own with a page that shows who is asking.

``python -m tests.fleet.page FOLDER`` answers each line, a session token, with role, address, and how many queries the
users have been asked by then.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from coatcheck.blocking import Auth
from coatcheck.credentials.cookies import SECURE
from coatcheck.credentials.transport import Carrier, Credential, cookie
from coatcheck.sqlalchemy import SqlAlchemyUsers

SECRET: Final = "a secret of the tests, 32 bytes or more"


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str] = mapped_column(default="")


class People:
    """The users in this folder, made where there are none."""

    def __init__(self, folder: Path) -> None:
        self.engine = create_engine(f"sqlite:///{folder / 'users.db'}")
        Base.metadata.create_all(self.engine)
        self.users = SqlAlchemyUsers(
            User, self.engine, subject=User.id, login=User.email, password_hash=User.password_hash, email=User.email,
            roles=lambda user: [user.role],
        )  # fmt: skip


def presented(token: str) -> Credential:
    return cookie(Carrier.SESSION_COOKIE, SECURE.session, token)


def main(folder: Path) -> None:
    people = People(folder)
    queries: list[None] = []
    event.listen(people.engine, "before_cursor_execute", lambda *_: queries.append(None))
    with Auth(f"sqlite:///{folder / 'app.db'}", secret=SECRET, subjects=people.users) as auth:
        for line in sys.stdin:
            identity = auth.verify(presented(line.strip()))
            print(*identity.roles, auth.profile(identity).email, len(queries), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
