"""Counts and samples of what a challenger in shadow says beside the champion."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from connector.ledger.columns import PackedUuid

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(PackedUuid(), "sqlite")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the two tables."""
    op.create_table(
        "shadow_counts",
        sa.Column("champion", sa.String(), nullable=False),
        sa.Column("challenger", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("said", sa.String(), nullable=False),
        sa.Column("instead", sa.String(), nullable=False),
        sa.Column("same_techniques", sa.Boolean(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("champion", "challenger", "day", "said", "instead", "same_techniques"),
    )
    op.create_table(
        "shadow_samples",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("challenger", sa.String(), nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("challenger", "event_id", name="uq_shadow_samples_challenger_event_id"),
    )


def downgrade() -> None:
    """Drops them."""
    op.drop_table("shadow_samples")
    op.drop_table("shadow_counts")
