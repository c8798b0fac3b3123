"""How a file's first bytes tell its format, whatever it is called."""

from __future__ import annotations

from recolor_cli.errors import PhotoError

SNIFF_BYTES = 64
"""How much of a file `sniff` wants to see."""

_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0\x08\0\0\0", "tiff"),
    (b"MM\0+\0\x08\0\0", "tiff"),
    (b"BM", "bmp"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)
_BRANDS = {
    b"avif": "avif", b"avis": "avif",
    b"heic": "heif", b"heix": "heif", b"heim": "heif", b"heis": "heif",
    b"hevc": "heif", b"hevx": "heif", b"mif1": "heif", b"msf1": "heif",
}  # fmt: skip
_REFUSED = (
    (b"%PDF", "a pdf document; export its pictures as tiff or png"),
    (b"8BPS", "a photoshop document; save it as tiff or png"),
    (b"\xff\x0a", "jpeg xl, which is not supported; convert it to png"),
    (b"\0\0\0\x0cJXL ", "jpeg xl, which is not supported; convert it to png"),
    (b"FUJIFILMCCD-RAW", "a camera raw file; develop it to tiff first"),
    (b"IIRO", "a camera raw file; develop it to tiff first"),
    (b"IIU\0", "a camera raw file; develop it to tiff first"),
    (b"\x1a\x45\xdf\xa3", "a video; export still frames first"),
    (b"<svg", "a vector drawing, not a photograph"),
)


def sniff(head: bytes) -> str:
    """Name the format of a file that begins with `head` (`SNIFF_BYTES` of it are enough).

    Raises:
        PhotoError: Not a format that recolor reads; the text says what it is instead.

    >>> sniff(b"GIF89a")
    'gif'
    """
    if not head:
        raise PhotoError("empty: the file has no bytes; copy it again from its source")
    for magic, name in _MAGIC:
        if head.startswith(magic):
            if name == "tiff" and head[8:10] == b"CR":
                raise PhotoError("a camera raw file; develop it to tiff first")
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _sniff_brand(head)
    for magic, what in _REFUSED:
        if head.startswith(magic):
            raise PhotoError(f"this is {what}")
    if head[:2] == b"\xff\xd8":
        raise PhotoError("truncated: the jpeg ends before its picture; copy it again")
    raise PhotoError(f"not an image: it begins with {_show(head)}; see whether it is damaged")


def _sniff_brand(head: bytes) -> str:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12]] + [head[at : at + 4] for at in range(16, size - 3, 4)]
    # An AVIF may lead with the generic brand; what it is compatible with decides.
    for wanted in ("avif", "heif"):
        if any(_BRANDS.get(brand) == wanted for brand in brands):
            return wanted
    raise PhotoError("this is a video or an unknown kind of container; export still frames first")


def _show(head: bytes) -> str:
    text = head[:16]
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in text):
        return f"the text {text.decode('ascii')!r}"
    return "bytes " + text[:8].hex(" ")
