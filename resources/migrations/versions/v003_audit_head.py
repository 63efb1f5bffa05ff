"""The end of the audit log, so that an entry that was taken off it shows."""

import sqlalchemy as sa
from alembic import op

revision = "003"
down_revision = "002"


def upgrade() -> None:
    """Make the table, and note where the log ends now."""
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.execute(
        "INSERT INTO audit_head (id, entries, sha256) SELECT 1, id, sha256 FROM audit_log "
        "WHERE id = (SELECT MAX(id) FROM audit_log)")


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("audit_head")
