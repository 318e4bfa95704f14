"""What we measure against: a plain Flask + Flask-SQLAlchemy + Flask-Mail view that sends in the request.

Written as its own documentation would have one write it: rows through the ORM, one commit, then `mail.connect()` over
all recipients, text and HTML from templates that Jinja compiles once. No leases, no retries, no checks of rights, no
answer per person: it does less. It gets the same load as ours: as many clients, and the same requests.
"""

from __future__ import annotations

import argparse
import secrets

from flask import Flask, jsonify, render_template, request
from flask_mail import Mail, Message
from flask_sqlalchemy import SQLAlchemy
from jinja2 import DictLoader
from waitress import serve

db = SQLAlchemy()
mail = Mail()
TEXT = """Northwind Tax

Hello {{ name }},

Dana Reyes of Northwind Tax invited you to the Client Portal.

Open the Client Portal:
{{ link }}

This invite is for {{ email }} and works for 30 days.
"""
# As much HTML as a mail with a table layout has.
HTML = (
    "<html><body>"
    + '<table role="presentation" style="width:100%;border:0;padding:24px 12px"><tr><td>' * 40
    + (
        "<p>Hello {{ name }},</p><p>Dana Reyes of Northwind Tax invited you to the Client Portal.</p>"
        '<p><a href="{{ link }}">Open the Client Portal</a></p><p>This invite is for {{ email }}.</p>'
    )
    + "</td></tr></table>" * 40
    + "</body></html>"
)


class Client(db.Model):  # type: ignore[name-defined, misc]
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(200))


class Invite(db.Model):  # type: ignore[name-defined, misc]
    id = db.Column(db.Integer, primary_key=True)
    client_id = db.Column(db.ForeignKey("client.id"), index=True)
    email = db.Column(db.String(320), index=True)
    name = db.Column(db.String(200))
    token = db.Column(db.String(64), unique=True)
    state = db.Column(db.String(20), default="pending")


def create(database: str, mail_port: int, clients: int) -> Flask:
    """The application, with its tables and clients."""
    app = Flask("plain")
    app.jinja_loader = DictLoader({"invite.txt": TEXT, "invite.html": HTML})
    app.config |= {
        "SQLALCHEMY_DATABASE_URI": database,
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": mail_port,
        "MAIL_DEFAULT_SENDER": "portal@example.com",
    }
    db.init_app(app)
    mail.init_app(app)
    with app.app_context():
        db.create_all()
        if db.session.get(Client, 0) is None:  # the second of two processes finds them
            db.session.add_all(Client(id=number, name=f"Byron Family {number}") for number in range(clients))
        db.session.commit()

    @app.post("/clients/<int:client_id>/invites")
    def invite(client_id: int):  # type: ignore[no-untyped-def]
        client, invites = db.get_or_404(Client, client_id), []
        for person in request.get_json()["recipients"]:
            row = Invite(
                client_id=client.id,
                email=person["email"],
                name=person["name"],
                token=secrets.token_urlsafe(32),
            )
            db.session.add(row)
            invites.append(row)
        db.session.commit()
        with mail.connect() as connection:
            for row in invites:
                values = {
                    "name": row.name,
                    "email": row.email,
                    "link": f"http://localhost/portal/invite/{row.token}",
                }
                message = Message("Northwind Tax: Dana Reyes invited you", recipients=[row.email])
                message.body = render_template("invite.txt", **values)
                message.html = render_template("invite.html", **values)
                connection.send(message)
        return jsonify(results=[row.id for row in invites]), 201

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return app


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--mail-port", type=int, required=True)
    parser.add_argument("--clients", type=int, required=True)
    options = parser.parse_args()
    app = create(options.database, options.mail_port, options.clients)
    serve(app, host="127.0.0.1", port=options.port, threads=16)


if __name__ == "__main__":
    main()
