"""The first tables"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = ("default",)
depends_on = None

# What goes with the triggers, before and after the tables they hang on.
_BEFORE = {"sqlite": ["DROP VIEW portal_settle"], "postgresql": []}
_AFTERWARDS = {
    "sqlite": ["DROP TABLE portal_due"],
    "postgresql": [
        f"DROP FUNCTION IF EXISTS {name} CASCADE"
        for name in (
            "portal_note",
            "portal_tally_due",
            "portal_settle",
            "portal_client_due",
            "portal_client_gone",
            "portal_contact_due",
            "portal_row_due",
            "portal_mail_due",
            "portal_person_words",
            "portal_person_reworded",
        )
    ],
}


def upgrade() -> None:
    op.create_table(
        "firm",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("phone", sa.String(length=60), nullable=False),
        sa.Column("reply_to", sa.String(length=320), nullable=False),
        sa.Column("colour", sa.String(length=7), nullable=False),
        sa.Column("shows_titles", sa.Boolean(), nullable=False),
        sa.Column("invite_days", sa.Integer(), nullable=True),
        sa.Column("reminder_days", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("accept_needs_code", sa.Boolean(), nullable=True),
        sa.Column("time_zone", sa.String(length=60), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("logo_sha256", sa.String(length=64), nullable=True),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_firm"),
        sa.UniqueConstraint("name", name="uq_firm_name"),
    )
    op.create_table(
        "login",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_display", sa.String(length=320), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("fs_uniquifier", sa.String(length=64), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("current_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_login_ip", sa.String(length=64), nullable=True),
        sa.Column("current_login_ip", sa.String(length=64), nullable=True),
        sa.Column("login_count", sa.Integer(), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login"),
        sa.UniqueConstraint("email", name="uq_login_email"),
        sa.UniqueConstraint("fs_uniquifier", name="uq_login_fs_uniquifier"),
    )
    op.create_table(
        "portal_tally",
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("what", sa.String(length=24), nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("firm_id", "what", "slot", name="pk_portal_tally"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rate_limit",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_limit"),
    )
    op.create_index("ix_rate_limit_expires_at", "rate_limit", ["expires_at"], unique=False)
    op.create_table(
        "search_word",
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=1), nullable=False),
        sa.Column(
            "word",
            sa.String(length=40).with_variant(sa.String(length=40, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("firm_id", "kind", "word", "owner_id", name="pk_search_word"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_word_owner", "search_word", ["owner_id", "word"], unique=False)
    op.create_table(
        "switch",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_switch"),
    )
    op.create_table(
        "firm_licence",
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=60), nullable=False),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_firm_licence_firm_id"),
        sa.PrimaryKeyConstraint("firm_id", "key", name="pk_firm_licence"),
    )
    op.create_table(
        "firm_logo",
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_firm_logo_firm_id"),
        sa.PrimaryKeyConstraint("firm_id", name="pk_firm_logo"),
    )
    op.create_table(
        "login_session",
        sa.Column("id_hash", sa.String(length=64), nullable=False),
        sa.Column("login_id", sa.String(length=26), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["login_id"], ["login.id"], name="fk_login_session_login_id"),
        sa.PrimaryKeyConstraint("id_hash", name="pk_login_session"),
    )
    op.create_index("ix_login_session_expires_at", "login_session", ["expires_at"], unique=False)
    op.create_index("ix_login_session_login_id", "login_session", ["login_id"], unique=False)
    op.create_table(
        "portal_user",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("login_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["login_id"], ["login.id"], name="fk_portal_user_login_id"),
        sa.PrimaryKeyConstraint("id", name="pk_portal_user"),
        sa.UniqueConstraint("login_id", name="uq_portal_user_login_id"),
    )
    op.create_table(
        "survey_template",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("introduction", sa.Text(), nullable=False),
        sa.Column("questions", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_survey_template_firm_id"),
        sa.PrimaryKeyConstraint("id", name="pk_survey_template"),
    )
    op.create_index("ix_survey_template_firm_id", "survey_template", ["firm_id"], unique=False)
    op.create_table(
        "team_member",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("login_id", sa.String(length=26), nullable=False),
        sa.Column(
            "role",
            sa.Enum("admin", "staff", name="role", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column(
            "sees",
            sa.Enum("all", "assigned", name="sees", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("expiry_digest_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_team_member_firm_id"),
        sa.ForeignKeyConstraint(["login_id"], ["login.id"], name="fk_team_member_login_id"),
        sa.PrimaryKeyConstraint("id", name="pk_team_member"),
        sa.UniqueConstraint("firm_id", "login_id", name="uq_team_member_firm_id_login_id"),
    )
    op.create_index("ix_team_member_firm_id", "team_member", ["firm_id"], unique=False)
    op.create_index("ix_team_member_login_id", "team_member", ["login_id"], unique=False)
    op.create_table(
        "api_token",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("team_member_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["team_member_id"], ["team_member.id"], name="fk_api_token_team_member_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_token"),
        sa.UniqueConstraint("token_hash", name="uq_api_token_token_hash"),
    )
    op.create_index("ix_api_token_team_member_id", "api_token", ["team_member_id"], unique=False)
    op.create_table(
        "client",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("name_key", sa.String(length=200), nullable=False),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column("is_person", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_id", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["created_by_id"], ["team_member.id"], name="fk_client_created_by_id"),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_client_firm_id"),
        sa.PrimaryKeyConstraint("id", name="pk_client"),
        sa.UniqueConstraint("firm_id", "external_id", name="uq_client_firm_id_external_id"),
    )
    op.create_index("ix_client_created_by_id", "client", ["created_by_id"], unique=False)
    op.create_index("ix_client_firm_id", "client", ["firm_id", "id"], unique=False)
    op.create_index("ix_client_firm_name", "client", ["firm_id", "name_key", "id"], unique=False)
    op.create_table(
        "idempotent_call",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("team_member_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_member_id"], ["team_member.id"], name="fk_idempotent_call_team_member_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_idempotent_call"),
        sa.UniqueConstraint("team_member_id", "key", name="uq_idempotent_call_team_member_id_key"),
    )
    op.create_index("ix_idempotent_call_created_at", "idempotent_call", ["created_at"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("member_id", sa.String(length=26), nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "invite",
                "resend",
                "revoke",
                "extend",
                "remove",
                "import",
                name="action",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "queued",
                "running",
                "done",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_job_firm_id"),
        sa.ForeignKeyConstraint(["member_id"], ["team_member.id"], name="fk_job_member_id"),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
    )
    op.create_index("ix_job_firm_id", "job", ["firm_id"], unique=False)
    op.create_index("ix_job_member", "job", ["member_id", "id"], unique=False)
    op.create_index(
        "ix_job_open",
        "job",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_table(
        "message_template",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("owner_id", sa.String(length=26), nullable=True),
        sa.Column("workflow", sa.String(length=60), nullable=True),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_message_template_firm_id"),
        sa.ForeignKeyConstraint(["owner_id"], ["team_member.id"], name="fk_message_template_owner_id"),
        sa.PrimaryKeyConstraint("id", name="pk_message_template"),
    )
    op.create_index("ix_message_template_firm_id", "message_template", ["firm_id"], unique=False)
    op.create_table(
        "client_assignment",
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("team_member_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_client_assignment_client_id"),
        sa.ForeignKeyConstraint(
            ["team_member_id"], ["team_member.id"], name="fk_client_assignment_team_member_id"
        ),
        sa.PrimaryKeyConstraint("client_id", "team_member_id", name="pk_client_assignment"),
    )
    op.create_table(
        "contact",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("name_key", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("email_display", sa.String(length=320), nullable=True),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("dont_ask", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_contact_client_id"),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_contact_firm_id"),
        sa.PrimaryKeyConstraint("id", name="pk_contact"),
    )
    op.create_index("ix_contact_client_email", "contact", ["client_id", "email"], unique=False)
    op.create_table(
        "job_item",
        sa.Column("job_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.String(length=26), nullable=True),
        sa.Column("invite_id", sa.String(length=26), nullable=True),
        sa.Column("access_id", sa.String(length=26), nullable=True),
        sa.Column("who", sa.String(length=320), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "waiting",
                "done",
                "skipped",
                "refused",
                "failed",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_job_item_job_id"),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_job_item"),
    )
    op.create_index(
        "ix_job_item_waiting",
        "job_item",
        ["job_id", "number"],
        unique=False,
        sqlite_where=sa.text("outcome = 'waiting'"),
        postgresql_where=sa.text("outcome = 'waiting'"),
    )
    op.create_table(
        "portal_client",
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("name_key", sa.String(length=200), nullable=False),
        sa.Column("has_portal", sa.Boolean(), nullable=False),
        sa.Column("has_email", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_portal_client_client_id"),
        sa.PrimaryKeyConstraint("client_id", name="pk_portal_client"),
    )
    op.create_index(
        "ix_portal_client_no_email",
        "portal_client",
        ["firm_id", "name_key", "client_id"],
        unique=False,
        sqlite_where=sa.text("NOT has_portal AND NOT has_email"),
        postgresql_where=sa.text("NOT has_portal AND NOT has_email"),
    )
    op.create_index(
        "ix_portal_client_without",
        "portal_client",
        ["firm_id", "name_key", "client_id"],
        unique=False,
        sqlite_where=sa.text("NOT has_portal"),
        postgresql_where=sa.text("NOT has_portal"),
    )
    op.create_table(
        "portal_person",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("mailbox", sa.String(length=320), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("email_display", sa.String(length=320), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("contacts", sa.Integer(), nullable=False),
        sa.Column("client_name_key", sa.String(length=200), nullable=False),
        sa.Column("access_id", sa.String(length=26), nullable=True),
        sa.Column("invite_id", sa.String(length=26), nullable=True),
        sa.Column("stage", sa.String(length=24), nullable=False),
        sa.Column("part", sa.String(length=24), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("access_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_portal_person_client_id"),
        sa.PrimaryKeyConstraint("id", name="pk_portal_person"),
        sa.UniqueConstraint("client_id", "mailbox", name="uq_portal_person_client_id_mailbox"),
    )
    op.create_index(
        "ix_portal_person_access_ends",
        "portal_person",
        ["firm_id", "access_ends_at", "id"],
        unique=False,
        sqlite_where=sa.text("access_ends_at IS NOT NULL"),
        postgresql_where=sa.text("access_ends_at IS NOT NULL"),
    )
    op.create_index(
        "ix_portal_person_invited_expires",
        "portal_person",
        ["firm_id", "expires_at", "id"],
        unique=False,
        sqlite_where=sa.text("stage = 'invited'"),
        postgresql_where=sa.text("stage = 'invited'"),
    )
    op.create_index(
        "ix_portal_person_logged_in",
        "portal_person",
        ["firm_id", "last_login_at", "id"],
        unique=False,
        sqlite_where=sa.text("stage = 'logged_in'"),
        postgresql_where=sa.text("stage = 'logged_in'"),
    )
    op.create_index(
        "ix_portal_person_name",
        "portal_person",
        ["firm_id", "client_name_key", "id"],
        unique=False,
        sqlite_where=sa.text("part <> 'none'"),
        postgresql_where=sa.text("part <> 'none'"),
    )
    op.create_index(
        "ix_portal_person_open_expires",
        "portal_person",
        ["firm_id", "expires_at", "id"],
        unique=False,
        sqlite_where=sa.text("part = 'open'"),
        postgresql_where=sa.text("part = 'open'"),
    )
    op.create_index(
        "ix_portal_person_open_name",
        "portal_person",
        ["firm_id", "client_name_key", "id"],
        unique=False,
        sqlite_where=sa.text("part = 'open'"),
        postgresql_where=sa.text("part = 'open'"),
    )
    op.create_index(
        "ix_portal_person_open_since",
        "portal_person",
        ["firm_id", "since", "id"],
        unique=False,
        sqlite_where=sa.text("part = 'open'"),
        postgresql_where=sa.text("part = 'open'"),
    )
    op.create_index(
        "ix_portal_person_portal",
        "portal_person",
        ["client_id"],
        unique=False,
        sqlite_where=sa.text("part IN ('inside', 'open')"),
        postgresql_where=sa.text("part IN ('inside', 'open')"),
    )
    op.create_index(
        "ix_portal_person_since",
        "portal_person",
        ["firm_id", "since", "id"],
        unique=False,
        sqlite_where=sa.text("part <> 'none'"),
        postgresql_where=sa.text("part <> 'none'"),
    )
    op.create_index(
        "ix_portal_person_stage_name",
        "portal_person",
        ["firm_id", "stage", "client_name_key", "id"],
        unique=False,
        sqlite_where=None,
        postgresql_where=None,
    )
    op.create_index(
        "ix_portal_person_stage_since",
        "portal_person",
        ["firm_id", "stage", "since", "id"],
        unique=False,
        sqlite_where=None,
        postgresql_where=None,
    )
    op.create_index(
        "ix_portal_person_undelivered",
        "portal_person",
        ["invite_id"],
        unique=False,
        sqlite_where=sa.text("stage IN ('bounced', 'mail_failed')"),
        postgresql_where=sa.text("stage IN ('bounced', 'mail_failed')"),
    )
    op.create_table(
        "ticked_last_time",
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("workflow", sa.String(length=60), nullable=False),
        sa.Column("emails", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_ticked_last_time_client_id"),
        sa.PrimaryKeyConstraint("client_id", "workflow", name="pk_ticked_last_time"),
    )
    op.create_table(
        "work_item",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("workflow", sa.String(length=60), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column(
            "audience",
            sa.Enum(
                "portal", "people", name="audience", native_enum=False, create_constraint=True, length=24
            ),
            nullable=False,
        ),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_by_id", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_work_item_client_id"),
        sa.ForeignKeyConstraint(["created_by_id"], ["team_member.id"], name="fk_work_item_created_by_id"),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_work_item_firm_id"),
        sa.PrimaryKeyConstraint("id", name="pk_work_item"),
    )
    op.create_index(
        "ix_work_item_client_workflow",
        "work_item",
        ["client_id", "workflow", "created_at", "id"],
        unique=False,
    )
    op.create_index("ix_work_item_firm_due", "work_item", ["firm_id", "open", "due_on"], unique=False)
    op.create_index("ix_work_item_firm_sent", "work_item", ["firm_id", "open", "sent_at"], unique=False)
    op.create_index("ix_work_item_workflow_status", "work_item", ["workflow", "status", "id"], unique=False)
    op.create_table(
        "answer",
        sa.Column("item_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=60), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("login_id", sa.String(length=26), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["work_item.id"], name="fk_answer_item_id"),
        sa.ForeignKeyConstraint(["login_id"], ["login.id"], name="fk_answer_login_id"),
        sa.PrimaryKeyConstraint("item_id", "key", name="pk_answer"),
    )
    op.create_table(
        "portal_access",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("portal_user_id", sa.String(length=26), nullable=False),
        sa.Column("contact_id", sa.String(length=26), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "active",
                "suspended",
                "removed",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "scope",
            sa.Enum("portal", "items", name="scope", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_portal_access_client_id"),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name="fk_portal_access_contact_id"),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_portal_access_firm_id"),
        sa.ForeignKeyConstraint(
            ["portal_user_id"], ["portal_user.id"], name="fk_portal_access_portal_user_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_portal_access"),
        sa.UniqueConstraint("client_id", "portal_user_id", name="uq_portal_access_client_id_portal_user_id"),
    )
    op.create_index(
        "ix_portal_access_client_email",
        "portal_access",
        ["client_id", "email", "changed_at", "id"],
        unique=False,
    )
    op.create_index("ix_portal_access_contact_id", "portal_access", ["contact_id"], unique=False)
    op.create_index("ix_portal_access_email", "portal_access", ["email"], unique=False)
    op.create_index("ix_portal_access_firm_id", "portal_access", ["firm_id"], unique=False)
    op.create_index("ix_portal_access_portal_user_id", "portal_access", ["portal_user_id"], unique=False)
    op.create_table(
        "signer",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("item_id", sa.String(length=26), nullable=False),
        sa.Column("contact_id", sa.String(length=26), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_display", sa.String(length=320), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "viewed",
                "signed",
                "declined",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("login_id", sa.String(length=26), nullable=True),
        sa.Column("typed_name", sa.String(length=200), nullable=False),
        sa.Column("viewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=300), nullable=False),
        sa.Column("decline_reason", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name="fk_signer_contact_id"),
        sa.ForeignKeyConstraint(["item_id"], ["work_item.id"], name="fk_signer_item_id"),
        sa.ForeignKeyConstraint(["login_id"], ["login.id"], name="fk_signer_login_id"),
        sa.PrimaryKeyConstraint("id", name="pk_signer"),
    )
    op.create_index("ix_signer_email", "signer", ["email"], unique=False)
    op.create_index("ix_signer_item_id", "signer", ["item_id"], unique=False)
    op.create_table(
        "stored_file",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("item_id", sa.String(length=26), nullable=True),
        sa.Column("purpose", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content_type", sa.String(length=120), nullable=False),
        sa.Column("storage_key", sa.String(length=120), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_stored_file_client_id"),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_stored_file_firm_id"),
        sa.ForeignKeyConstraint(["item_id"], ["work_item.id"], name="fk_stored_file_item_id"),
        sa.PrimaryKeyConstraint("id", name="pk_stored_file"),
        sa.UniqueConstraint("storage_key", name="uq_stored_file_storage_key"),
    )
    op.create_index("ix_stored_file_client_id", "stored_file", ["client_id"], unique=False)
    op.create_index("ix_stored_file_firm_id", "stored_file", ["firm_id"], unique=False)
    op.create_index("ix_stored_file_item_id", "stored_file", ["item_id"], unique=False)
    op.create_table(
        "invite",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("client_id", sa.String(length=26), nullable=False),
        sa.Column("contact_id", sa.String(length=26), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_display", sa.String(length=320), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "accepted",
                "declined",
                "revoked",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column(
            "scope",
            sa.Enum("portal", "items", name="scope", native_enum=False, create_constraint=True, length=24),
            nullable=False,
        ),
        sa.Column("workflow", sa.String(length=60), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("template_id", sa.String(length=26), nullable=True),
        sa.Column("template_name", sa.String(length=120), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("invited_by_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_in_days", sa.Integer(), nullable=False),
        sa.Column("access_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("last_asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_reason", sa.String(length=24), nullable=False),
        sa.Column("access_id", sa.String(length=26), nullable=True),
        sa.Column("reminds", sa.Boolean(), nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reminded_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expiry_noted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expiry_told_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("expires_at <= access_ends_at", name="ck_invite_ends_with_access"),
        sa.CheckConstraint("generation >= 1", name="ck_invite_generation"),
        sa.ForeignKeyConstraint(["access_id"], ["portal_access.id"], name="fk_invite_access_id"),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_invite_client_id"),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name="fk_invite_contact_id"),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_invite_firm_id"),
        sa.ForeignKeyConstraint(["invited_by_id"], ["team_member.id"], name="fk_invite_invited_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invite"),
    )
    op.create_index(
        "ix_invite_client_email", "invite", ["client_id", "email", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_invite_declined",
        "invite",
        ["firm_id", "ended_at"],
        unique=False,
        sqlite_where=sa.text("state = 'declined'"),
        postgresql_where=sa.text("state = 'declined'"),
    )
    op.create_index("ix_invite_email", "invite", ["email"], unique=False)
    op.create_index(
        "ix_invite_expiry",
        "invite",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending' AND expiry_noted_at IS NULL"),
        postgresql_where=sa.text("state = 'pending' AND expiry_noted_at IS NULL"),
    )
    op.create_index("ix_invite_firm_id", "invite", ["firm_id", "id"], unique=False)
    op.create_index("ix_invite_firm_state", "invite", ["firm_id", "state", "id"], unique=False)
    op.create_index(
        "ix_invite_inviter",
        "invite",
        ["invited_by_id", "expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_invite_remind",
        "invite",
        ["remind_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending' AND remind_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'pending' AND remind_at IS NOT NULL"),
    )
    op.create_index(
        "ix_invite_untold",
        "invite",
        ["invited_by_id"],
        unique=False,
        sqlite_where=sa.text("state = 'pending' AND expiry_noted_at IS NOT NULL AND expiry_told_at IS NULL"),
        postgresql_where=sa.text(
            "state = 'pending' AND expiry_noted_at IS NOT NULL AND expiry_told_at IS NULL"
        ),
    )
    op.create_index(
        "uq_invite_pending",
        "invite",
        ["client_id", "email"],
        unique=True,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "item_grant",
        sa.Column("item_id", sa.String(length=26), nullable=False),
        sa.Column("access_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["access_id"], ["portal_access.id"], name="fk_item_grant_access_id"),
        sa.ForeignKeyConstraint(["item_id"], ["work_item.id"], name="fk_item_grant_item_id"),
        sa.PrimaryKeyConstraint("item_id", "access_id", name="pk_item_grant"),
    )
    op.create_table(
        "item_view",
        sa.Column("item_id", sa.String(length=26), nullable=False),
        sa.Column("access_id", sa.String(length=26), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["access_id"], ["portal_access.id"], name="fk_item_view_access_id"),
        sa.ForeignKeyConstraint(["item_id"], ["work_item.id"], name="fk_item_view_item_id"),
        sa.PrimaryKeyConstraint("item_id", "access_id", name="pk_item_view"),
    )
    op.create_table(
        "accept_code",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("invite_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["invite_id"], ["invite.id"], name="fk_accept_code_invite_id"),
        sa.PrimaryKeyConstraint("id", name="pk_accept_code"),
        sa.UniqueConstraint("invite_id", name="uq_accept_code_invite_id"),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("workflow", sa.String(length=60), nullable=False),
        sa.Column("client_id", sa.String(length=26), nullable=True),
        sa.Column("item_id", sa.String(length=26), nullable=True),
        sa.Column("invite_id", sa.String(length=26), nullable=True),
        sa.Column("access_id", sa.String(length=26), nullable=True),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["access_id"], ["portal_access.id"], name="fk_event_access_id"),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name="fk_event_client_id"),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_event_firm_id"),
        sa.ForeignKeyConstraint(["invite_id"], ["invite.id"], name="fk_event_invite_id"),
        sa.ForeignKeyConstraint(["item_id"], ["work_item.id"], name="fk_event_item_id"),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
    )
    op.create_index("ix_event_client", "event", ["client_id", "id"], unique=False)
    op.create_index("ix_event_invite_id", "event", ["invite_id"], unique=False)
    op.create_index(
        "ix_event_undispatched",
        "event",
        ["id"],
        unique=False,
        sqlite_where=sa.text("dispatched_at IS NULL"),
        postgresql_where=sa.text("dispatched_at IS NULL"),
    )
    op.create_table(
        "invite_item",
        sa.Column("invite_id", sa.String(length=26), nullable=False),
        sa.Column("item_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["invite_id"], ["invite.id"], name="fk_invite_item_invite_id"),
        sa.ForeignKeyConstraint(["item_id"], ["work_item.id"], name="fk_invite_item_item_id"),
        sa.PrimaryKeyConstraint("invite_id", "item_id", name="pk_invite_item"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invite_token",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("invite_id", sa.String(length=26), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["invite_id"], ["invite.id"], name="fk_invite_token_invite_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_invite_token"),
        sa.UniqueConstraint("invite_id", "generation", name="uq_invite_token_invite_id_generation"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("firm_id", sa.String(length=26), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "invite",
                "accept_code",
                "item",
                "sign_in",
                "staff_notice",
                "reminder",
                "expiry_warning",
                "expiry_digest",
                "security",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("to_email", sa.String(length=320), nullable=False),
        sa.Column("to_name", sa.String(length=200), nullable=False),
        sa.Column("invite_id", sa.String(length=26), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("item_id", sa.String(length=26), nullable=True),
        sa.Column("access_id", sa.String(length=26), nullable=True),
        sa.Column("accept_code_id", sa.String(length=26), nullable=True),
        sa.Column("sender_id", sa.String(length=26), nullable=True),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "sending",
                "sent",
                "bounced",
                "failed",
                "cancelled",
                "held",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease", sa.String(length=26), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(length=200), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["access_id"], ["portal_access.id"], name="fk_outbox_access_id"),
        sa.ForeignKeyConstraint(["firm_id"], ["firm.id"], name="fk_outbox_firm_id"),
        sa.ForeignKeyConstraint(["invite_id"], ["invite.id"], name="fk_outbox_invite_id"),
        sa.ForeignKeyConstraint(["item_id"], ["work_item.id"], name="fk_outbox_item_id"),
        sa.ForeignKeyConstraint(["sender_id"], ["team_member.id"], name="fk_outbox_sender_id"),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index(
        "ix_outbox_access_id",
        "outbox",
        ["access_id"],
        unique=False,
        sqlite_where=sa.text("access_id IS NOT NULL"),
        postgresql_where=sa.text("access_id IS NOT NULL"),
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'sending')"),
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.create_index("ix_outbox_invite_id", "outbox", ["invite_id"], unique=False)
    op.create_index(
        "ix_outbox_turn",
        "outbox",
        ["firm_id", "due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'sending')"),
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )

    dialect = op.get_bind().dialect.name
    for statement in (
        Path(__file__).with_name(f"portal_list.{dialect}.sql").read_text(encoding="utf-8").split("\n--;\n")
    ):
        op.execute(sa.text(statement))


def downgrade() -> None:
    for statement in _BEFORE[op.get_bind().dialect.name]:
        op.execute(sa.text(statement))
    op.drop_index(
        "ix_outbox_turn",
        table_name="outbox",
        sqlite_where=sa.text("state IN ('queued', 'sending')"),
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.drop_index("ix_outbox_invite_id", table_name="outbox")
    op.drop_index(
        "ix_outbox_due",
        table_name="outbox",
        sqlite_where=sa.text("state IN ('queued', 'sending')"),
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )
    op.drop_index(
        "ix_outbox_access_id",
        table_name="outbox",
        sqlite_where=sa.text("access_id IS NOT NULL"),
        postgresql_where=sa.text("access_id IS NOT NULL"),
    )
    op.drop_table("outbox")
    op.drop_table("invite_token")
    op.drop_table("invite_item")
    op.drop_index(
        "ix_event_undispatched",
        table_name="event",
        sqlite_where=sa.text("dispatched_at IS NULL"),
        postgresql_where=sa.text("dispatched_at IS NULL"),
    )
    op.drop_index("ix_event_invite_id", table_name="event")
    op.drop_index("ix_event_client", table_name="event")
    op.drop_table("event")
    op.drop_table("accept_code")
    op.drop_table("item_view")
    op.drop_table("item_grant")
    op.drop_index(
        "uq_invite_pending",
        table_name="invite",
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_index(
        "ix_invite_untold",
        table_name="invite",
        sqlite_where=sa.text("state = 'pending' AND expiry_noted_at IS NOT NULL AND expiry_told_at IS NULL"),
        postgresql_where=sa.text(
            "state = 'pending' AND expiry_noted_at IS NOT NULL AND expiry_told_at IS NULL"
        ),
    )
    op.drop_index(
        "ix_invite_remind",
        table_name="invite",
        sqlite_where=sa.text("state = 'pending' AND remind_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'pending' AND remind_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_invite_inviter",
        table_name="invite",
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_index("ix_invite_firm_state", table_name="invite")
    op.drop_index("ix_invite_firm_id", table_name="invite")
    op.drop_index(
        "ix_invite_expiry",
        table_name="invite",
        sqlite_where=sa.text("state = 'pending' AND expiry_noted_at IS NULL"),
        postgresql_where=sa.text("state = 'pending' AND expiry_noted_at IS NULL"),
    )
    op.drop_index("ix_invite_email", table_name="invite")
    op.drop_index(
        "ix_invite_declined",
        table_name="invite",
        sqlite_where=sa.text("state = 'declined'"),
        postgresql_where=sa.text("state = 'declined'"),
    )
    op.drop_index("ix_invite_client_email", table_name="invite")
    op.drop_table("invite")
    op.drop_index("ix_stored_file_item_id", table_name="stored_file")
    op.drop_index("ix_stored_file_firm_id", table_name="stored_file")
    op.drop_index("ix_stored_file_client_id", table_name="stored_file")
    op.drop_table("stored_file")
    op.drop_index("ix_signer_item_id", table_name="signer")
    op.drop_index("ix_signer_email", table_name="signer")
    op.drop_table("signer")
    op.drop_index("ix_portal_access_portal_user_id", table_name="portal_access")
    op.drop_index("ix_portal_access_firm_id", table_name="portal_access")
    op.drop_index("ix_portal_access_email", table_name="portal_access")
    op.drop_index("ix_portal_access_contact_id", table_name="portal_access")
    op.drop_index("ix_portal_access_client_email", table_name="portal_access")
    op.drop_table("portal_access")
    op.drop_table("answer")
    op.drop_index("ix_work_item_workflow_status", table_name="work_item")
    op.drop_index("ix_work_item_firm_sent", table_name="work_item")
    op.drop_index("ix_work_item_firm_due", table_name="work_item")
    op.drop_index("ix_work_item_client_workflow", table_name="work_item")
    op.drop_table("work_item")
    op.drop_table("ticked_last_time")
    op.drop_index(
        "ix_portal_person_undelivered",
        table_name="portal_person",
        sqlite_where=sa.text("stage IN ('bounced', 'mail_failed')"),
        postgresql_where=sa.text("stage IN ('bounced', 'mail_failed')"),
    )
    op.drop_index(
        "ix_portal_person_stage_since", table_name="portal_person", sqlite_where=None, postgresql_where=None
    )
    op.drop_index(
        "ix_portal_person_stage_name", table_name="portal_person", sqlite_where=None, postgresql_where=None
    )
    op.drop_index(
        "ix_portal_person_since",
        table_name="portal_person",
        sqlite_where=sa.text("part <> 'none'"),
        postgresql_where=sa.text("part <> 'none'"),
    )
    op.drop_index(
        "ix_portal_person_portal",
        table_name="portal_person",
        sqlite_where=sa.text("part IN ('inside', 'open')"),
        postgresql_where=sa.text("part IN ('inside', 'open')"),
    )
    op.drop_index(
        "ix_portal_person_open_since",
        table_name="portal_person",
        sqlite_where=sa.text("part = 'open'"),
        postgresql_where=sa.text("part = 'open'"),
    )
    op.drop_index(
        "ix_portal_person_open_name",
        table_name="portal_person",
        sqlite_where=sa.text("part = 'open'"),
        postgresql_where=sa.text("part = 'open'"),
    )
    op.drop_index(
        "ix_portal_person_open_expires",
        table_name="portal_person",
        sqlite_where=sa.text("part = 'open'"),
        postgresql_where=sa.text("part = 'open'"),
    )
    op.drop_index(
        "ix_portal_person_name",
        table_name="portal_person",
        sqlite_where=sa.text("part <> 'none'"),
        postgresql_where=sa.text("part <> 'none'"),
    )
    op.drop_index(
        "ix_portal_person_logged_in",
        table_name="portal_person",
        sqlite_where=sa.text("stage = 'logged_in'"),
        postgresql_where=sa.text("stage = 'logged_in'"),
    )
    op.drop_index(
        "ix_portal_person_invited_expires",
        table_name="portal_person",
        sqlite_where=sa.text("stage = 'invited'"),
        postgresql_where=sa.text("stage = 'invited'"),
    )
    op.drop_index(
        "ix_portal_person_access_ends",
        table_name="portal_person",
        sqlite_where=sa.text("access_ends_at IS NOT NULL"),
        postgresql_where=sa.text("access_ends_at IS NOT NULL"),
    )
    op.drop_table("portal_person")
    op.drop_index(
        "ix_portal_client_without",
        table_name="portal_client",
        sqlite_where=sa.text("NOT has_portal"),
        postgresql_where=sa.text("NOT has_portal"),
    )
    op.drop_index(
        "ix_portal_client_no_email",
        table_name="portal_client",
        sqlite_where=sa.text("NOT has_portal AND NOT has_email"),
        postgresql_where=sa.text("NOT has_portal AND NOT has_email"),
    )
    op.drop_table("portal_client")
    op.drop_index(
        "ix_job_item_waiting",
        table_name="job_item",
        sqlite_where=sa.text("outcome = 'waiting'"),
        postgresql_where=sa.text("outcome = 'waiting'"),
    )
    op.drop_table("job_item")
    op.drop_index("ix_contact_client_email", table_name="contact")
    op.drop_table("contact")
    op.drop_table("client_assignment")
    op.drop_index("ix_message_template_firm_id", table_name="message_template")
    op.drop_table("message_template")
    op.drop_index(
        "ix_job_open",
        table_name="job",
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.drop_index("ix_job_member", table_name="job")
    op.drop_index("ix_job_firm_id", table_name="job")
    op.drop_table("job")
    op.drop_index("ix_idempotent_call_created_at", table_name="idempotent_call")
    op.drop_table("idempotent_call")
    op.drop_index("ix_client_firm_name", table_name="client")
    op.drop_index("ix_client_firm_id", table_name="client")
    op.drop_index("ix_client_created_by_id", table_name="client")
    op.drop_table("client")
    op.drop_index("ix_api_token_team_member_id", table_name="api_token")
    op.drop_table("api_token")
    op.drop_index("ix_team_member_login_id", table_name="team_member")
    op.drop_index("ix_team_member_firm_id", table_name="team_member")
    op.drop_table("team_member")
    op.drop_index("ix_survey_template_firm_id", table_name="survey_template")
    op.drop_table("survey_template")
    op.drop_table("portal_user")
    op.drop_index("ix_login_session_login_id", table_name="login_session")
    op.drop_index("ix_login_session_expires_at", table_name="login_session")
    op.drop_table("login_session")
    op.drop_table("firm_logo")
    op.drop_table("firm_licence")
    op.drop_table("switch")
    op.drop_index("ix_search_word_owner", table_name="search_word")
    op.drop_table("search_word")
    op.drop_index("ix_rate_limit_expires_at", table_name="rate_limit")
    op.drop_table("rate_limit")
    op.drop_table("portal_tally")
    op.drop_table("login")
    op.drop_table("firm")
    for statement in _AFTERWARDS[op.get_bind().dialect.name]:
        op.execute(sa.text(statement))
