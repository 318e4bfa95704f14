"""The document of an eSign request: checked at upload, kept unchanged, shown as pictures.

A document comes from an upload (a stored file of the purpose `document` that hangs on no item until the request is
sent) or is copied from a file of the same client. It is copied and never shared, so that what was signed stays what
it was whatever becomes of the other file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import sqlalchemy as sa

from invites.scope import FirmView
from later import later
from models import Client, StoredFile, WorkItem, db
from models.errors import Invalid, Missing, WrongState
from workflows import storage
from workflows.storage import Kept, Upload

if TYPE_CHECKING:
    from workflows.esign_request import pdf
else:
    pdf = later("workflows.esign_request.pdf")

DOCUMENT: Final = "document"
SEALED: Final = "sealed"
PDF: Final = "application/pdf"
LICENCE: Final = "esign"
PLURAL: Final = "eSign requests"


@dataclass(frozen=True)
class Document:
    """A checked document that waits for its request: an uploaded one by id, or a fresh copy."""

    facts: pdf.PdfFacts
    name: str
    stored_id: str | None = None
    copy: Upload | None = None

    @property
    def paper(self) -> Literal["A4", "Letter"]:
        """The paper of the certificate page: like the document's first page."""
        width, height = sorted(self.facts.sizes[0])
        return "Letter" if abs(width - 612) < 3 and abs(height - 792) < 3 else "A4"


def check(upload: Upload, field: str = "file") -> pdf.PdfFacts:
    """Whether an upload is a PDF that can be signed; before the unit of work. Raises Invalid on `field`."""
    return _inspect(upload, field)


def add(view: FirmView, client: Client, upload: Upload) -> StoredFile:
    """Keep a checked upload as a document to be sent for signing, within the open unit of work.

    Its id is the `file_id` of the request. One that is never sent is taken away after a week. Raises LicenceMissing.
    """
    view.need_licence(LICENCE, PLURAL)
    stored = storage.keep(upload, client, purpose=DOCUMENT)
    stored.content_type = PDF
    return stored


@contextmanager
def chosen(
    view: FirmView, client: Client, file_id: str, fields: Sequence[Mapping[str, Any]] = ()
) -> Iterator[Document]:
    """The document behind a `file_id`, checked, for the block that sends it; before the unit of work.

    Raises Invalid on `file_id` for what isn't a PDF of this client that can be signed, and on `fields.N.page` for
    fields on pages that aren't there. A copy is taken away again when the block raises.
    """
    stored = _find(view, client, file_id)
    facts = _inspect(stored, "file_id")
    beyond = {
        f"fields.{place}.page": [f"There is no page {field['page']}: the document has {facts.pages}."]
        for place, field in enumerate(fields)
        if field["page"] > facts.pages
    }
    if beyond:
        raise Invalid(beyond)
    if stored.purpose == DOCUMENT:
        yield Document(facts, stored.name, stored_id=stored.id)
        return
    name = stored.name
    with storage.copied(stored) as copy:
        yield Document(facts, name, copy=copy)


def attach(document: Document, client: Client, item: WorkItem) -> StoredFile:
    """Hang a document on its request, within the open unit of work. Raises WrongState where it was sent already."""
    if document.copy is not None:
        stored = storage.keep(document.copy, client, purpose=DOCUMENT, item_id=item.id)
        stored.content_type = PDF
        return stored
    statement = (
        sa.update(StoredFile)
        .where(StoredFile.id == document.stored_id, StoredFile.item_id.is_(None))
        .values(item_id=item.id)
        .execution_options(synchronize_session=False)
    )
    if cast("sa.CursorResult[object]", db.session.execute(statement)).rowcount != 1:
        raise WrongState("This document was sent for signing a moment ago. Open the client's eSign requests.")
    return db.session.get_one(StoredFile, document.stored_id, populate_existing=True)


def document_of(item: WorkItem) -> StoredFile:
    """The document as it was uploaded. Raises Missing."""
    stored = _of(item, DOCUMENT)
    if stored is None:
        raise Missing
    return stored


def sealed_of(item: WorkItem) -> StoredFile | None:
    """The sealed document, once there is one."""
    return _of(item, SEALED)


def page_count(item: WorkItem) -> int:
    """How many pages the document has."""
    return int((item.details or {}).get("pages", 0))


def picture(item: WorkItem, page: int, width: int) -> bytes:
    """One page (from 1) as a PNG, `width` pixels wide. Raises Missing for a page that isn't there."""
    if not 1 <= page <= page_count(item):
        raise Missing
    return pdf.page_picture(storage.read(document_of(item)), page, width)


def _of(item: WorkItem, purpose: str) -> StoredFile | None:
    statement = sa.select(StoredFile).where(StoredFile.item_id == item.id, StoredFile.purpose == purpose)
    return db.session.scalars(statement).one_or_none()


def _find(view: FirmView, client: Client, file_id: str) -> StoredFile:
    """An uploaded document that waits, or the bytes of a file item; both of this client."""
    waiting = sa.and_(StoredFile.id == file_id, StoredFile.purpose == DOCUMENT, StoredFile.item_id.is_(None))
    of_item = sa.and_(StoredFile.item_id == file_id, StoredFile.purpose == "file")
    stored = db.session.scalars(
        view.files().where(StoredFile.client_id == client.id, sa.or_(waiting, of_item))
    ).one_or_none()
    if stored is None:
        raise Invalid({"file_id": ["Choose a PDF among this client's files, or upload one."]})
    return stored


def _inspect(kept: Kept, field: str) -> pdf.PdfFacts:
    try:
        return pdf.inspect_pdf(storage.read(kept))
    except pdf.BadPdf as error:
        raise Invalid({field: [error.sentence]}) from error
