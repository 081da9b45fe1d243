"""The tags."""

from sqlalchemy import Column, Text

revision, down_revision = "0001", None


def upgrade(op):
    op.create_table("coatcheck_tags", Column("name", Text))


def downgrade(op):
    op.drop_table("coatcheck_tags")
