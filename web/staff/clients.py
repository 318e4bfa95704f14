"""The list of clients, and adding and changing one."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from sqlalchemy.orm import selectinload
from werkzeug.wrappers import Response

from invites import records
from invites.searching import clients_found
from models import Client, unit_of_work
from models.errors import Invalid
from schemas.records import ClientFormSchema
from web.access_rules import staff_page
from web.forms import field_errors
from web.staff import once
from web.staff.common import checked, firm_view, keyset, page
from web.staff.rows import client_sums

bp = Blueprint("staff_clients", __name__)

_EDIT = ("kind", "name", "external_id")


@bp.get("/clients")
@staff_page
def clients() -> str:
    """All clients the member may see, by name; `q` begins words of a client's or person's name or address."""
    view = firm_view()
    typed = request.args.get("q", "").strip()[:200]
    statement = view.clients().options(selectinload(Client.contacts))
    if typed:
        statement = statement.where(clients_found(view.firm_id, typed))
    rows, more = keyset(statement, [Client.name_key, Client.id], lambda client: [client.name_key, client.id])
    return page("staff/clients.html", clients=rows, sums=client_sums(view, rows), q=typed, more=more)


@bp.route("/clients/new", methods=["GET", "POST"])
@staff_page
def add_client() -> str | Response | tuple[str, int]:
    """Add a client with its people."""
    view, schema = firm_view(), ClientFormSchema()
    if request.method == "GET":
        return page("staff/client_form.html", schema=schema, typed={"contacts": [{}]}, errors={}, client=None)
    typed, data, errors = checked(schema, request.form)
    if not errors:
        try:
            with unit_of_work():
                claim = once.claim(view.member)
                client = records.add_client(
                    view,
                    data["name"],
                    is_person=data["kind"] == "person",
                    external_id=data["external_id"],
                    contacts=[(person["name"], person["email"]) for person in data["contacts"]],
                )
                text = f"{data['name']} is added."
                url = claim.leads_to(url_for("staff_record.record", client_id=client.id), text)
            flash(text, "success")
            return redirect(url, 303)
        except Invalid as error:
            errors = field_errors(error.fields)
    return page("staff/client_form.html", schema=schema, typed=typed, errors=errors, client=None), 422


@bp.route("/clients/<client_id>/edit", methods=["GET", "POST"])
@staff_page
def edit_client(client_id: str) -> str | Response | tuple[str, int]:
    """Change a client's name, kind or external id."""
    view = firm_view()
    client, schema = view.client(client_id), ClientFormSchema(only=_EDIT)
    if request.method == "GET":
        typed = {
            "kind": "person" if client.is_person else "business",
            "name": client.name,
            "external_id": client.external_id or "",
        }
        return page("staff/client_form.html", schema=schema, typed=typed, errors={}, client=client)
    typed, data, errors = checked(schema, request.form)
    if not errors:
        try:
            with unit_of_work():
                records.change_client(
                    view,
                    view.client(client_id),
                    data["name"],
                    is_person=data["kind"] == "person",
                    external_id=data["external_id"],
                )
            flash("The client is changed.", "success")
            return redirect(url_for("staff_record.record", client_id=client_id), 303)
        except Invalid as error:
            errors = field_errors(error.fields)
    client = view.client(client_id)
    return page("staff/client_form.html", schema=schema, typed=typed, errors=errors, client=client), 422
