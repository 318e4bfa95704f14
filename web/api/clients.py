"""Clients and their contacts."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import selectinload

from invites import records
from invites.searching import clients_found
from models import Client, Contact, unit_of_work
from schemas.answers import ClientAnswer, ContactAnswer, page_of
from schemas.api import ClientBody, ClientPatch, ClientsQuery, ContactBody, ContactPatch
from web.api.common import Call, blueprint, page, view

blp = blueprint("api-clients", "Clients and the people on their records")


@blp.route("/clients")
class Clients(Call):
    """All clients the token's member may see."""

    @blp.arguments(ClientsQuery, location="query")
    @blp.response(200, page_of(ClientAnswer))
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List clients"""
        firm = view()
        statement = firm.clients().options(selectinload(Client.contacts))
        if query["external_id"] is not None:
            statement = statement.where(Client.external_id == query["external_id"])
        if query["q"]:
            statement = statement.where(clients_found(firm.firm_id, query["q"]))
        rows, cursor = page(statement, Client.id, query)
        return {"items": rows, "next_cursor": cursor}

    @blp.arguments(ClientBody)
    @blp.response(201, ClientAnswer)
    def post(self, body: dict[str, Any]) -> Client:
        """Add a client"""
        people = [(person["name"], person["email"] or "") for person in body["contacts"]]
        with unit_of_work():
            client = records.add_client(
                view(), body["name"], external_id=body["external_id"], contacts=people
            )
        return client


@blp.route("/clients/<client_id>")
class OneClient(Call):
    """One client."""

    @blp.response(200, ClientAnswer)
    def get(self, client_id: str) -> Client:
        """Get a client"""
        return view().client(client_id)

    @blp.arguments(ClientPatch)
    @blp.response(200, ClientAnswer)
    def patch(self, body: dict[str, Any], client_id: str) -> Client:
        """Change a client's name or external id"""
        with unit_of_work():
            firm = view()
            client = firm.client(client_id)
            records.change_client(
                firm,
                client,
                body.get("name", client.name),
                is_person=client.is_person,
                external_id=body.get("external_id", client.external_id),
            )
        return client


@blp.route("/clients/<client_id>/contacts")
class Contacts(Call):
    """The people on one record."""

    @blp.arguments(ContactBody)
    @blp.response(201, ContactAnswer)
    def post(self, body: dict[str, Any], client_id: str) -> Contact:
        """Add a contact"""
        with unit_of_work():
            firm = view()
            contact = records.add_contact(firm, firm.client(client_id), body["name"], body["email"] or "")
        return contact


@blp.route("/contacts/<contact_id>")
class OneContact(Call):
    """One person on a record."""

    @blp.arguments(ContactPatch)
    @blp.response(200, ContactAnswer)
    def patch(self, body: dict[str, Any], contact_id: str) -> Contact:
        """Change a contact's name or address"""
        with unit_of_work():
            firm = view()
            contact = firm.contact(contact_id)
            email = body.get("email", contact.email_display) or ""
            records.change_contact(firm, contact, body.get("name", contact.name), email)
        return contact
