"""Reading and signing a document: pictures of its pages, the typed signature with consent, Decline with a reason."""

from __future__ import annotations

import fontpkg_dancing_script
from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from languages import worded
from models import unit_of_work
from models.errors import Invalid, Missing, WrongState
from web.access_rules import portal_page
from web.headers import SANDBOX_POLICY
from web.portal.items import Answer, back, find, page
from workflows.esign_request import completion, documents, signing

bp = Blueprint("portal_esign", __name__, url_prefix="/portal/items/<item_id>")

# The hand in which a typed name stands on the document, so that the page shows what is going to be signed.
fonts = Blueprint(
    "portal_fonts",
    __name__,
    static_folder=str(fontpkg_dancing_script.ROOT / "files"),
    static_url_path="/portal/fonts",
)

SLUG = "esign-request"
PICTURE_WIDTH = 1240  # pixels: sharp on a phone, readable at a desk


@bp.get("/pages/<int:number>.png")
@portal_page
def picture(item_id: str, number: int) -> Response:
    """One page of the document as a picture."""
    _, item, _ = find(item_id, SLUG)
    if not 1 <= number <= documents.page_count(item):
        raise Missing
    response = Response(documents.picture(item, number, PICTURE_WIDTH), mimetype="image/png")
    response.headers["Content-Security-Policy"] = SANDBOX_POLICY
    return response


@bp.post("/sign")
@portal_page
def sign(item_id: str) -> Answer:
    """Sign with the typed name. The last signature seals the document."""
    person, item, _ = find(item_id, SLUG)
    form = request.form
    try:
        with unit_of_work():
            signing.sign(
                item,
                person,
                form.get("signer", ""),
                form.get("typed_name", ""),
                form.get("consent") == "yes",
                signing.Trace.of_request(),
            )
    except Invalid as error:
        return page(item, 422, errors=error.fields, typed=form)
    except WrongState as error:
        return back(item, error.sentence, "warning")
    sealed = completion.seal_pending(item.id)
    if sealed:
        return back(item, worded("Signed by everybody. The sealed document is ready to download."))
    return back(item, worded("Signed. Thank you."))


@bp.get("/decline")
@portal_page
def ask_decline(item_id: str) -> Answer:
    """Ask once more, with room for a reason."""
    person, item, _ = find(item_id, SLUG)
    signer = request.args.get("signer", "")
    state = signing.sign_state(item, person.login)
    if not any(one.id == signer and one.can_decline for one in state.mine):
        return redirect(url_for("portal_items.show", item_id=item.id), 303)
    return page(item, template="portal/esign_decline.html", signer_id=signer)


@bp.post("/decline")
@portal_page
def decline(item_id: str) -> Answer:
    """Decline to sign; the firm reads the reason."""
    person, item, _ = find(item_id, SLUG)
    form = request.form
    signer = form.get("signer", "")
    try:
        with unit_of_work():
            signing.decline(item, person, signer, form.get("reason", ""), signing.Trace.of_request())
    except Invalid as error:
        return page(
            item,
            422,
            template="portal/esign_decline.html",
            signer_id=signer,
            errors=error.fields,
            typed=form,
        )
    except WrongState as error:
        return back(item, error.sentence, "warning")
    return back(item, worded("You declined to sign. The firm reads your reason."))
