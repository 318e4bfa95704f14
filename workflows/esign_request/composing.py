"""The document written anew, ready to be sealed: stamps over the pages, the certificate behind them.

A seal only says that bytes did not change. That what people see did not change either needs a document that can't act:
so scripts and automatic actions go, form leftovers go, and nothing of earlier versions of the file stays inside.
"""

import io
from collections.abc import Iterable, Sequence

from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    ContentStream,
    DictionaryObject,
    FloatObject,
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
    """Have the page draw the layer after its own content, which may have left the graphics state in any shape."""
    form = StreamObject()
    drawn = layer.drawing.get_contents()
    form.set_data(drawn.get_data() if drawn is not None else b"")
    form[NameObject("/Type")], form[NameObject("/Subtype")] = NameObject("/XObject"), NameObject("/Form")
    form[NameObject("/BBox")] = _numbers((0, 0, layer.frame.width, layer.frame.height))
    form[NameObject("/Matrix")] = _numbers(layer.frame.matrix)
    form[NameObject("/Resources")] = layer.drawing["/Resources"].clone(writer)

    page = writer.pages[layer.page - 1]
    # Copies, since several pages often share one dictionary, and a name in it must mean one thing.
    resources = _resolved(page, "/Resources")
    resources = DictionaryObject(resources if isinstance(resources, DictionaryObject) else {})
    objects = _resolved(resources, "/XObject")
    objects = DictionaryObject(objects if isinstance(objects, DictionaryObject) else {})
    name = "/PortalStamps"
    while name in objects:
        name += "X"
    objects[NameObject(name)] = writer._add_object(form.flate_encode())
    resources[NameObject("/XObject")] = objects
    page[NameObject("/Resources")] = resources

    opened, closed = _unbalanced(page.get_contents())
    before, after = StreamObject(), StreamObject()
    before.set_data(b"q\n" * (1 + closed))
    after.set_data(b"\n" + b"Q\n" * (1 + opened) + b"q " + name.encode() + b" Do Q\n")
    page[NameObject("/Contents")] = ArrayObject(
        [writer._add_object(before), *_own_contents(page), writer._add_object(after)]
    )


def _own_contents(page: DictionaryObject) -> list[PdfObject]:
    """What the page draws so far: references to its streams, in order."""
    if "/Contents" not in page:
        return []
    contents = _resolved(page, "/Contents")
    return list(contents) if isinstance(contents, ArrayObject) else [page.raw_get("/Contents")]


def _unbalanced(contents: ContentStream | None) -> tuple[int, int]:
    """How many saved states the content leaves open, and how many it closes that it never opened."""
    depth = lowest = 0
    for _, operator in contents.operations if contents is not None else ():
        if operator == b"q":
            depth += 1
        elif operator == b"Q":
            depth -= 1
            lowest = min(lowest, depth)
    return depth - lowest, -lowest
