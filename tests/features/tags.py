"""Another feature with a table."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, MetaData, Table, Text

from coatcheck.features import Feature, Tables

METADATA = MetaData()
Table("coatcheck_tags", METADATA, Column("name", Text))


class Tags(Feature):
    name = "tags"
    tables = Tables(METADATA, Path(__file__).parent / "tags_migrations")
