"""One sealed PDF out of a document, what its signers typed, and the evidence.

The seal is a PAdES signature (B-B) that certifies the document with "no changes allowed", made with this
installation's own key, over the document as `composing` writes it anew. So what the seal covers is what a reader sees.

A seal is judged by pyHanko's `bottom_line` and by whether it covers the whole file. "Valid" alone is not enough: it
speaks of the bytes that were signed and stays true when somebody appends pages or covers a paragraph afterwards.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asn1crypto import cms as asn1_cms
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_signer import PdfSigningSession
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from workflows.esign_request.certificate import Evidence, certificate_page
from workflows.esign_request.composing import compose
from workflows.esign_request.lettering import clean
from workflows.esign_request.pdf import inspect_pdf, page_frames, with_form_fixed
from workflows.esign_request.stamping import BadStamp, Stamp, StampType, draw_stamps

__all__ = [
    "BadSealingKey",
    "BadStamp",
    "SealReport",
    "SealedPdf",
    "SealingKey",
    "Stamp",
    "StampType",
    "make_sealing_key",
    "seal",
    "verify",
]

FIELD_NAME: Final = "PortalInvitesSeal"
KEY_BITS: Final = 3072
KEY_YEARS: Final = 10


class BadSealingKey(ValueError):
    """A sealing key that can't be read or whose two parts don't belong together; `sentence` says which."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class SealingKey:
    """A private key and its certificate, both PEM. Get one from `load`, which checks them."""

    private_key_pem: bytes = field(repr=False)
    certificate_pem: bytes

    @classmethod
    def load(cls, private_key_pem: bytes, certificate_pem: bytes) -> "SealingKey":
        """The key out of its two PEM texts (unencrypted PKCS #8). Raises BadSealingKey."""
        try:
            private = serialization.load_pem_private_key(private_key_pem, password=None)
            certificate = x509.load_pem_x509_certificate(certificate_pem)
        except (ValueError, TypeError) as error:
            raise BadSealingKey("The sealing key or its certificate can't be read as PEM.") from error
        if private.public_key() != certificate.public_key():
            raise BadSealingKey("The sealing key and its certificate don't belong together.")
        return cls(private_key_pem, certificate_pem)

    @property
    def name(self) -> str:
        """The common name in the certificate."""
        return _common_name(x509.load_pem_x509_certificate(self.certificate_pem))

    @property
    def valid_until(self) -> datetime:
        """When the certificate ends: seals are made before that, and stay checkable after."""
        return x509.load_pem_x509_certificate(self.certificate_pem).not_valid_after_utc


@dataclass(frozen=True)
class SealedPdf:
    """The sealed file and its SHA-256 in hex (the "hash after")."""

    data: bytes
    sha256: str


@dataclass(frozen=True)
class SealReport:
    """What became of a seal.

    `ok` sums up: our seal, intact, over the whole file. `intact` says the signed bytes are unchanged,
    `covers_whole_file` that nothing was added after them. `signer` is the name in the certificate (empty without a
    seal), `signed_at` the time in the seal, `sentence` the result for people.
    """

    ok: bool
    intact: bool
    covers_whole_file: bool
    signer: str
    signed_at: datetime | None
    sentence: str


def make_sealing_key(common_name: str, now: datetime) -> tuple[bytes, bytes]:
    """A new private key and self-signed certificate, both PEM, good for ten years (half a second of work).

    RSA with 3072 bits, since every PDF reader checks it; 128 bits of strength by NIST SP 800-57. The certificate has
    no extended key usage, as Adobe's reader refuses most of them. `common_name` is cut to 64 bytes (RFC 5280).
    """
    short = clean(common_name).encode()[:64].decode(errors="ignore").strip()
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, short or "Portal Invites")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(
            now - timedelta(hours=1)
        )  # So that a clock set back a little does not stop sealing.
        .not_valid_after(now + timedelta(days=365.25 * KEY_YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
    )


def seal(
    document: bytes, evidence: Evidence, key: SealingKey, stamps: Sequence[Stamp], now: datetime
) -> SealedPdf:
    """The document with the stamps on its pages and the certificate behind them, sealed at `now` (aware).

    Raises BadPdf for a document that `inspect_pdf` refuses or a stamp on a page that is not there, BadSealingKey where
    the certificate has ended, and ValueError where `evidence.sha256` is not the hash of this document.
    """
    facts = inspect_pdf(document)
    if evidence.sha256 != facts.sha256:
        raise ValueError("The evidence belongs to another document: its SHA-256 is not this document's.")
    if now >= key.valid_until:
        raise BadSealingKey("The certificate of the sealing key has ended. Make a new sealing key.")
    fixed = with_form_fixed(document) if facts.has_form else document
    frames = page_frames(fixed, {stamp.page for stamp in stamps})
    certificate = certificate_page(evidence)
    composed = compose(fixed, draw_stamps(stamps, frames), certificate, evidence.title)
    sealed = _sign(composed, key, now)
    return SealedPdf(sealed, hashlib.sha256(sealed).hexdigest())


class _SignerAt(PdfSigner):
    """pyHanko's signer with the time given to it instead of read from the clock."""

    def __init__(self, *args: Any, now: datetime, **more: Any) -> None:
        super().__init__(*args, **more)
        self.now = now

    def init_signing_session(self, *args: Any, **more: Any) -> PdfSigningSession:
        session = super().init_signing_session(*args, **more)
        session.system_time = self.now
        return session


def _sign(composed: bytes, key: SealingKey, now: datetime) -> bytes:
    certificate = _asn1(key.certificate_pem)
    private = serialization.load_pem_private_key(key.private_key_pem, password=None)
    signer = SimpleSigner(
        signing_cert=certificate,
        signing_key=asn1_keys.PrivateKeyInfo.load(
            private.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        ),
        cert_registry=SimpleCertificateStore(),
    )
    described = PdfSignatureMetadata(
        field_name=FIELD_NAME,
        md_algorithm="sha256",
        name=key.name,
        reason="Sealed after all signers had signed",
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
    )
    out = io.BytesIO()
    try:
        _SignerAt(described, signer, now=now).sign_pdf(
            IncrementalPdfFileWriter(io.BytesIO(composed)), output=out
        )
    except SigningError as error:
        raise BadSealingKey(f"The document can't be sealed with this key: {error}") from error
    return out.getvalue()


def verify(data: bytes, trusted_certificate_pem: bytes) -> SealReport:
    """Judge the seal of a file against our own certificate (PEM; several one after another after a key change).

    The time in the seal is our own word, so the certificate must have been good then; it may have ended since.
    Never raises for what is in `data`; raises BadSealingKey for a certificate that can't be read.
    """
    trusted = _asn1_all(trusted_certificate_pem)
    try:
        return _judge(data, trusted)
    # A file that is no PDF any more, or a seal cut in pieces, meets parsers of three libraries with bytes made by
    # anybody: whatever they raise, the answer to "is the seal all right" is no.
    except Exception:  # noqa: BLE001
        return SealReport(
            False, False, False, "", None, "This file can't be read as a sealed PDF. It may be damaged."
        )


def _judge(data: bytes, trusted: list[asn1_x509.Certificate]) -> SealReport:
    signatures = PdfFileReader(io.BytesIO(data)).embedded_regular_signatures
    if not signatures:
        return SealReport(False, False, False, "", None, "This file carries no seal.")
    ours = {certificate.dump() for certificate in trusted}
    embedded: EmbeddedPdfSignature = next(
        (found for found in signatures if found.signer_cert and found.signer_cert.dump() in ours),
        signatures[0],
    )
    signed_at = embedded.self_reported_timestamp
    context = ValidationContext(trust_roots=trusted, allow_fetching=False, moment=signed_at)
    status = validate_pdf_signature(embedded, signer_validation_context=context)
    signer = str(status.signing_cert.subject.native.get("common_name", ""))
    intact = bool(status.intact and status.valid) and _nothing_hidden(embedded)
    whole = status.coverage == SignatureCoverageLevel.ENTIRE_FILE and len(signatures) == 1
    at = signed_at.astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC") if signed_at else "an unknown time"
    # The path to a trusted root goes by name and key, so the certificate itself is compared, byte by byte, as well.
    trusted_seal = bool(status.trusted and ours)
    ok = bool(status.bottom_line and trusted_seal and intact and whole and signed_at)
    if not intact:
        sentence = f"This file was changed after it was sealed on {at}. Don't rely on it."
    elif not trusted_seal:
        sentence = f"This file was sealed by {signer or 'somebody'}, whose certificate is not ours. Don't rely on it."
    elif not whole or not ok:
        sentence = f"Something was added to this file after it was sealed on {at}. Don't rely on it."
    else:
        sentence = f"Sealed by {signer} on {at}. Nothing was changed since."
    return SealReport(ok, intact, whole, signer, signed_at, sentence)


def _nothing_hidden(embedded: EmbeddedPdfSignature) -> bool:
    """True if the place of the signature itself, the one that no hash covers, holds the signature and zeros only."""
    held = embedded.pkcs7_content
    signature = asn1_cms.ContentInfo.load(held).dump()
    return held.startswith(signature) and not held[len(signature) :].strip(b"\0")


def _asn1(pem: bytes) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(
        x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    )


def _asn1_all(pem: bytes) -> list[asn1_x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise BadSealingKey("The certificate of the seal can't be read as PEM.") from error
    return [asn1_x509.Certificate.load(one.public_bytes(serialization.Encoding.DER)) for one in found]


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
