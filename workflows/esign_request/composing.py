"""The document written anew, ready to be sealed: stamps over the pages, the certificate behind them.

A seal only says that bytes did not change. That what people see did not change either needs a document that can't act:
so scripts and automatic actions go, form leftovers go, and nothing of earlier versions of the file stays inside.
"""

import io
from collections.abc import Iterable, Sequence
from typing import Final

from pypdf import PageObject, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NameObject,
    PdfObject,
    StreamObject,
)

from workflows.esign_request.certificate import TITLE
from workflows.esign_request.lettering import clean
from workflows.esign_request.pdf import BadPdf, editable
from workflows.esign_request.stamping import Layer


def compose(document: bytes, layers: Sequence[Layer], certificate: bytes, title: str) -> bytes:
    """The document with the layers drawn over its pages and the certificate's pages at the end. Raises BadPdf."""
    try:
        writer = editable(document)
        _disarm(writer)
        for layer in layers:
            _lay(writer, layer)
        writer.append(io.BytesIO(certificate), outline_item=TITLE, import_outline=False)
        writer.add_metadata({"/Title": clean(title), "/Producer": "Portal Invites"})
        writer.pdf_header = "%PDF-1.7"
        writer.compress_identical_objects(remove_duplicates=False, remove_unreferenced=True)
        buffer = io.BytesIO()
        writer.write(buffer)
    # As in inspect_pdf: what pypdf raises at a broken page is an open list, and means that the document is damaged.
    except Exception as error:
        raise BadPdf("A page of this PDF is damaged, so the signatures can't be put on it.") from error
    return buffer.getvalue()


def _resolved(holder: DictionaryObject, name: str) -> PdfObject | None:
    """The value itself where the dictionary only refers to it."""
    value = holder.get(name)
    return value.get_object() if value is not None else None


def _disarm(writer: PdfWriter) -> None:
    root = writer.root_object
    for name in ("/AA", "/AcroForm", "/Perms", "/DSS", "/Collection", "/Extensions", "/Legal"):
        root.pop(NameObject(name), None)
    if not isinstance(
        _resolved(root, "/OpenAction"), ArrayObject
    ):  # An array only says at which page to open.
        root.pop(NameObject("/OpenAction"), None)
    names = _resolved(root, "/Names")
    if isinstance(names, DictionaryObject):
        names.pop(NameObject("/JavaScript"), None)
    for page in writer.pages:
        page.pop(NameObject("/AA"), None)
        notes = _resolved(page, "/Annots")
        if isinstance(notes, ArrayObject):
            page[NameObject("/Annots")] = ArrayObject(note for note in notes if _harmless(note))
        else:
            page.pop(NameObject("/Annots"), None)


def _harmless(reference: PdfObject) -> bool:
    """True for notes, and links to a place in the document or on the web; takes all other actions off them."""
    note = reference.get_object()
    if not isinstance(note, DictionaryObject) or note.get("/Subtype") == "/Widget":
        return False
    note.pop(NameObject("/AA"), None)
    action = _resolved(note, "/A")
    if isinstance(action, DictionaryObject) and (
        action.get("/S") not in ("/URI", "/GoTo") or "/Next" in action
    ):
        note.pop(NameObject("/A"), None)
    return True


def _numbers(numbers: Iterable[float]) -> ArrayObject:
    return ArrayObject([FloatObject(round(number, 5)) for number in numbers])


def _lay(writer: PdfWriter, layer: Layer) -> None:
    """Have the page draw the layer after its own content, which may have left things in any state."""
    page = writer.pages[layer.page - 1]
    drawn = layer.drawing.get_contents()
    stamps = _form(
        drawn.get_data() if drawn is not None else b"", (0, 0, layer.frame.width, layer.frame.height)
    )
    stamps[NameObject("/Matrix")] = _numbers(layer.frame.matrix)
    stamps[NameObject("/Resources")] = layer.drawing["/Resources"].clone(writer)

    # Copies, since several pages often share one dictionary, and a name in it must mean one thing.
    resources = _copied(_resolved(page, "/Resources"))
    objects = _copied(_resolved(resources, "/XObject"))
    own = _own_contents(page)
    if _well_formed(page):
        contents = [_stream(b"q\n"), *own, _stream(b"\nQ\n")]
    else:
        # Content that opens what it does not close, or breaks off, could scale, hide or swallow what follows. As a
        # form it ends where it ends.
        named = [(_free_name(objects, f"/PortalPage{number}"), part) for number, part in enumerate(own)]
        for name, part in named:
            objects[name] = writer._add_object(_as_form(part, resources))
        contents = [_stream(b"".join(b"q " + name.encode() + b" Do Q\n" for name, _ in named))]
    name = _free_name(objects, "/PortalStamps")
    objects[name] = writer._add_object(stamps.flate_encode())
    contents.append(_stream(b"q " + name.encode() + b" Do Q\n"))
    resources[NameObject("/XObject")] = objects
    page[NameObject("/Resources")] = resources
    page[NameObject("/Contents")] = ArrayObject(
        part if isinstance(part, IndirectObject) else writer._add_object(part) for part in contents
    )


def _copied(value: PdfObject | None) -> DictionaryObject:
    return DictionaryObject(value if isinstance(value, DictionaryObject) else {})


def _free_name(taken: DictionaryObject, name: str) -> NameObject:
    while name in taken:
        name += "X"
    return NameObject(name)


def _stream(data: bytes) -> StreamObject:
    stream = StreamObject()
    stream.set_data(data)
    return stream


def _form(data: bytes, box: Iterable[float]) -> StreamObject:
    form = _stream(data)
    form[NameObject("/Type")], form[NameObject("/Subtype")] = NameObject("/XObject"), NameObject("/Form")
    form[NameObject("/BBox")] = _numbers(box)
    return form


def _as_form(part: PdfObject, resources: DictionaryObject) -> StreamObject:
    """A content stream as a form, taken over as it is: it may be one that can't be decoded."""
    everywhere = (-32000, -32000, 32000, 32000)
    stream = part.get_object()
    form = _form(b"", everywhere)
    if isinstance(stream, StreamObject):
        form._data = stream._data
        for name in ("/Filter", "/DecodeParms"):
            if name in stream:
                form[NameObject(name)] = stream[name]
    form[NameObject("/Resources")] = resources
    return form


def _own_contents(page: DictionaryObject) -> list[PdfObject]:
    """What the page draws so far: references to its streams, in order."""
    if "/Contents" not in page:
        return []
    contents = _resolved(page, "/Contents")
    return list(contents) if isinstance(contents, ArrayObject) else [page.raw_get("/Contents")]


_OPENS: Final = {b"q": b"Q", b"BT": b"ET", b"BMC": b"EMC", b"BDC": b"EMC"}


def _well_formed(page: PageObject) -> bool:
    """True if the page's content can be read to its end and closes all that it opens (states, texts, marked parts)."""
    try:
        contents = page.get_contents()
        operators = [operator for _, operator in contents.operations] if contents is not None else []
    # As in `compose`: pypdf meets a damaged stream with an open list of errors. All of them mean no.
    except Exception:  # noqa: BLE001
        return False
    awaited = {b"Q": 0, b"ET": 0, b"EMC": 0}
    for operator in operators:
        if operator in _OPENS:
            awaited[_OPENS[operator]] += 1
        elif operator in awaited:
            awaited[operator] -= 1
            if awaited[operator] < 0:
                return False
    return not any(awaited.values())
