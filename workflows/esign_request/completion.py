"""All have signed: the document is sealed and becomes part of the client's files.

The last signature commits first; sealing takes a second and holds no lock. It can be done by the request of the last
signer, by the worker's sweep, or by both at once: the first one to move the request to `completed` keeps its file,
the other takes its own away. Until then the page says that the document is being sealed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
import structlog

import config
from invites.standing import day
from later import later
from models import Client, Firm, Login, Signer, SignerState, TeamMember, WorkItem, db, unit_of_work, utc_now
from workflows import storage
from workflows.esign_request.documents import PDF, SEALED, document_of
from workflows.esign_request.evidence import Evidence, SignerEvidence, TimelineEvent
from workflows.esign_request.keys import sealing_key
from workflows.esign_request.signers import signers_of
from workflows.esign_request.signing import CONSENT
from workflows.moves import move, note
from workflows.names import safe_name, stem_of

if TYPE_CHECKING:
    from workflows.esign_request import sealing
else:
    sealing = later("workflows.esign_request.sealing")

log = structlog.get_logger(__name__)

SLUG: Final = "esign-request"
# The request of the last signer and the worker that its commit woke would both make the seal, in one process.
_ONE_AT_A_TIME: Final = threading.Lock()
SEALED_BY_ALL: Final = "partially_signed"  # with nothing open: all have signed, the seal is to be made


def is_being_sealed(item: WorkItem) -> bool:
    """Whether all have signed and the seal isn't there yet."""
    return item.status == SEALED_BY_ALL and not item.open


def seal_pending(item_id: str) -> bool:
    """Seal a request if all have signed it; whether it is sealed now, by whoever it was.

    An edge: opens its own unit of work. Call it after the commit of a signature; it may be called any number of
    times, by several at once. A failure is logged and the sweep tries again: the signature itself is safe, so the
    signer is not to see an error.
    """
    try:
        with _ONE_AT_A_TIME:
            return _seal(item_id)
    except Exception:
        log.exception("sealing failed, will be tried again", item_id=item_id)
        db.session.rollback()
        return False


def seal_all_pending(limit: int = 50) -> int:
    """The worker's sweep: seal what waits for it; how many were sealed. An edge."""
    waiting = list(
        db.session.scalars(
            sa.select(WorkItem.id)
            .where(WorkItem.workflow == SLUG, WorkItem.status == SEALED_BY_ALL, WorkItem.open.is_(False))
            .order_by(WorkItem.id.desc())  # one that can't be sealed must not hold up the newer ones
            .limit(limit)
        )
    )
    db.session.rollback()
    return sum(seal_pending(item_id) for item_id in waiting)


def check_seal(item: WorkItem, sealed: bytes) -> sealing.SealReport:
    """What is to be said of a sealed file of ours."""
    return sealing.verify(sealed, sealing_key(config.current()).certificate_pem)


def _seal(item_id: str) -> bool:
    item = db.session.get(WorkItem, item_id, populate_existing=True)
    if item is None or item.workflow != SLUG:
        return False
    if not is_being_sealed(item):
        return item.status == "completed"
    now = utc_now()
    document = document_of(item)
    signers = signers_of([item])[item.id]
    firm = db.session.get_one(Firm, item.firm_id)
    evidence = _evidence(item, firm, signers, document.sha256, document.name)
    stamps = _stamps(item, signers, firm.time_zone)
    client_id, name = item.client_id, safe_name(f"{stem_of(document.name)} (signed).pdf")
    data = storage.read(document)
    db.session.rollback()  # no transaction stays open while the seal is made
    sealed = sealing.seal(data, evidence, sealing_key(config.current()), stamps, now)
    upload = storage.receive_bytes(sealed.data, name)
    try:
        with unit_of_work():
            kept = _complete(item_id, client_id, upload, sealed, now)
    except BaseException:
        storage.discard(upload)
        raise
    if not kept:
        storage.discard(upload)
    db.session.refresh(item)
    return item.status == "completed"


def _complete(
    item_id: str, client_id: str, upload: storage.Upload, sealed: sealing.SealedPdf, now: datetime
) -> bool:
    """Keep the sealed file unless somebody else was faster."""
    item = db.session.get_one(WorkItem, item_id, populate_existing=True)
    if not is_being_sealed(item):
        return False
    details = dict(item.details or {}) | {"sealed_sha256": sealed.sha256}
    if not move(item, [SEALED_BY_ALL], "completed", done_at=now, details=details):
        return False
    stored = storage.keep(upload, db.session.get_one(Client, client_id), purpose=SEALED, item_id=item.id)
    stored.content_type = PDF
    note(item, "esign_request_completed", sha256=sealed.sha256)
    return True


def _evidence(item: WorkItem, firm: Firm, signers: Sequence[Signer], sha256: str, file_name: str) -> Evidence:
    """All that the certificate says."""
    ids = {signer.login_id for signer in signers if signer.login_id}
    logins = {login.id: login for login in db.session.scalars(sa.select(Login).where(Login.id.in_(ids)))}
    sender = db.session.get(TeamMember, item.created_by_id) if item.created_by_id else None
    sent_by = sender.name if sender else firm.name
    details = item.details or {}
    return Evidence(
        title=item.title,
        firm=firm.name,
        sha256=sha256,
        signers=[_signer(signer, logins.get(signer.login_id or "")) for signer in signers],
        events=_timeline(item, signers, sent_by),
        file_name=file_name,
        pages=details.get("pages"),
        request_id=item.id,
        sent_by=sent_by,
        sent_at=item.sent_at,
        completed_at=max((signer.signed_at for signer in signers if signer.signed_at), default=None),
        zone=firm.time_zone,
        paper="Letter" if details.get("paper") == "Letter" else "A4",
    )


def _signer(signer: Signer, login: Login | None) -> SignerEvidence:
    by = (
        f"Signed in to the Client Portal as {login.email_display}"
        if login
        else "Signed in to the Client Portal"
    )
    return SignerEvidence(
        name=signer.name,
        email=signer.email_display,
        status="Signed" if signer.state is SignerState.SIGNED else str(signer.state.value).capitalize(),
        typed_signature=signer.typed_name,
        signed_at=signer.signed_at,
        viewed_at=signer.viewed_at,
        ip=signer.ip,
        browser=signer.user_agent,
        identified=f"{by}; invited by mail to {signer.email_display}.",
        consent=CONSENT,
    )


def _timeline(item: WorkItem, signers: Sequence[Signer], sent_by: str) -> list[TimelineEvent]:
    events = [TimelineEvent(item.sent_at or item.created_at, f"{sent_by} sent the document to be signed.")]
    for signer in signers:
        if signer.viewed_at:
            events.append(TimelineEvent(signer.viewed_at, f"{signer.name} opened the document."))
        if signer.signed_at:
            events.append(TimelineEvent(signer.signed_at, f"{signer.name} signed.", signer.ip))
    return events


def _stamps(item: WorkItem, signers: Sequence[Signer], zone: str) -> list[sealing.Stamp]:
    """What the typed names put onto the pages. Texts and check boxes are left free: nobody filled them in."""
    by_id = {signer.id: signer for signer in signers}
    details = item.details or {}
    ids: list[str] = list(details.get("signer_ids", []))
    stamps = []
    for place in details.get("fields", []):
        signer = by_id.get(ids[place["signer"]])
        text = _text_for(place, signer, zone) if signer else ""
        if not text or signer is None or signer.signed_at is None:
            continue
        stamps.append(
            sealing.Stamp(
                page=place["page"],
                x=place["x"],
                y=place["y"],
                width=place["width"],
                height=place["height"],
                type=sealing.StampType(place["type"]),
                text=text,
                caption=f"{signer.name}, {day(signer.signed_at, zone)}",
            )
        )
    return stamps


def _text_for(place: Mapping[str, Any], signer: Signer, zone: str) -> str:
    match place["type"]:
        case "signature":
            return signer.typed_name
        case "initials":
            return "".join(word[0] for word in signer.typed_name.split())[:4]
        case "date":
            return day(signer.signed_at, zone) if signer.signed_at else ""
        case _:
            return ""
