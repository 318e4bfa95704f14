"""People on the record: add and change a contact."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from invites import records
from models import unit_of_work
from models.errors import Invalid
from schemas.records import ContactFormSchema
from web.access_rules import staff_page
from web.forms import field_errors
from web.staff import once
from web.staff.common import checked, firm_view, page

bp = Blueprint("staff_contacts", __name__)


@bp.route("/clients/<client_id>/contacts/new", methods=["GET", "POST"])
@staff_page
def add_contact(client_id: str) -> str | Response | tuple[str, int]:
    """Add a person to the record."""
    view, schema = firm_view(), ContactFormSchema()
    client = view.client(client_id)
    if request.method == "GET":
        return page(
            "staff/contact_form.html", schema=schema, typed={}, errors={}, client=client, contact=None
        )
    typed, data, errors = checked(schema, request.form)
    if not errors:
        try:
            with unit_of_work():
                claim = once.claim(view.member)
                contact = records.add_contact(
                    view, view.client(client_id), data["name"], data["email"], primary=data["primary"]
                )
                text = f"{contact.label} is on the record now."
                url = claim.leads_to(url_for("staff_record.record", client_id=client_id), text)
            flash(text, "success")
            return redirect(url, 303)
        except Invalid as error:
            errors = field_errors(error.fields)
    client = view.client(client_id)
    return page(
        "staff/contact_form.html", schema=schema, typed=typed, errors=errors, client=client, contact=None
    ), 422


@bp.route("/contacts/<contact_id>/edit", methods=["GET", "POST"])
@staff_page
def edit_contact(contact_id: str) -> str | Response | tuple[str, int]:
    """Change a person's name or address. The open invite at an old address is revoked, and the new one is offered."""
    view, schema = firm_view(), ContactFormSchema()
    contact = view.contact(contact_id)
    client = contact.client
    if request.method == "GET":
        typed: dict[str, object] = {
            "name": contact.name,
            "email": contact.email_display or "",
            "primary": contact.is_primary,
        }
        return page(
            "staff/contact_form.html", schema=schema, typed=typed, errors={}, client=client, contact=contact
        )
    typed, data, errors = checked(schema, request.form)
    if not errors:
        try:
            with unit_of_work():
                contact = view.contact(contact_id)
                revoked = records.change_contact(
                    view, contact, data["name"], data["email"], primary=data["primary"]
                )
                client_id, reachable = contact.client_id, bool(contact.email)
            if revoked:
                flash(f"The contact is changed. The open invite to {revoked} is revoked.", "success")
                if reachable:
                    url = url_for("staff_record.invite", client_id=client_id, person=contact_id)
                    return redirect(url, 303)
            else:
                flash("The contact is changed.", "success")
            return redirect(url_for("staff_record.record", client_id=client_id), 303)
        except Invalid as error:
            errors = field_errors(error.fields)
    contact = view.contact(contact_id)
    return page(
        "staff/contact_form.html",
        schema=schema,
        typed=typed,
        errors=errors,
        client=contact.client,
        contact=contact,
    ), 422
