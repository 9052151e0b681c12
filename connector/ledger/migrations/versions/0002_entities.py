"""Entities and incidents have versions, and the columns that they are found by. Nothing wrote the tables before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from connector.ledger.columns import PackedUuid

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(PackedUuid(), "sqlite")


def upgrade() -> None:
    """Makes the two tables anew."""
    _drop()
    op.create_table(
        "entities",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("risk", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("entity_key", sa.String(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_incidents_opened_at", "incidents", ["opened_at"], unique=False)


def downgrade() -> None:
    """Makes them as they were."""
    op.drop_index("ix_incidents_opened_at", "incidents")
    op.drop_table("incidents")
    op.drop_table("entities")
    op.create_table(
        "entities",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("risk", sa.Float(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", ID, nullable=False),
        sa.Column("entity_key", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_incidents_entity_key_opened_at", "incidents", ["entity_key", "opened_at"], unique=False)


def _drop() -> None:
    op.drop_index("ix_incidents_entity_key_opened_at", "incidents")
    op.drop_table("incidents")
    op.drop_table("entities")
