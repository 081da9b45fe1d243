"""The notes."""

from sqlalchemy import Column, Text

revision, down_revision = "0001", None


def upgrade(op):
    op.create_table("coatcheck_notes", Column("subject", Text, index=True), Column("text", Text))


def downgrade(op):
    op.drop_table("coatcheck_notes")
