"""Data as nobody should have to meet them: each case writes itself into a folder.

`CASES` maps a name to `write(folder)`, which returns the path to open. What a case does between
opening and reading is in `MEANWHILE`, under the same name.
"""

import io
import os
import pickle
import random
import socket
import struct
import threading
import time
import zipfile
import zlib

import numpy as np
from pictures import noise
from PIL import Image

KINDS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
ENDINGS = {"JPEG": "jpg", "JPEG2000": "jp2", "TIFF": "tif"}
CASES, MEANWHILE = {}, {}


def encoded(kind="PNG", pixels=None, **options):
    stream = io.BytesIO()
    pixels = noise(12, 12, 3) if pixels is None else pixels
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


def put(place, content):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def case(name, meanwhile=None):
    def kept(write):
        assert name not in CASES, name
        CASES[name] = write
        if meanwhile:
            MEANWHILE[name] = meanwhile
        return write

    return kept


def picture(name, content, ending="png"):
    """A case of one bad picture beside a good one."""

    @case(name)
    def write(folder):
        put(folder / "good.png", encoded())
        put(folder / f"bad.{ending}", content() if callable(content) else content)
        return folder


# -- pictures that are cut, spoilt, empty, or no pictures -----------------------------------------


def cut_and_spoilt():
    for kind in KINDS:
        whole, ending = encoded(kind), ENDINGS.get(kind, kind.lower())
        for share in (0.1, 0.5, 0.9, 1.0):
            picture(f"{kind} cut at {share:.0%}", whole[: int(share * len(whole)) - 1], ending)
        for seed in range(3):
            dice, content = random.Random(seed), bytearray(whole)
            for _ in range(1 + seed * 4):
                content[dice.randrange(len(content))] = dice.randrange(256)
            picture(f"{kind} spoilt {seed}", bytes(content), ending)


cut_and_spoilt()


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("a.png", encoded())
    return stream.getvalue()


class Evil:
    def __reduce__(self):
        return os._exit, (3,)  # nobody may ever open this as what it is


for _name, _content in {
    "empty": b"",
    "one byte": b"\x89",
    "text": b"hello, world",
    "html": b"<!doctype html><title>404</title>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "zip": zipped(),
    "pickle": pickle.dumps(Evil()),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(a) run\n",
    "zeros": bytes(4096),
    "noise": noise(4096).tobytes(),
    "only a signature": b"\x89PNG\r\n\x1a\n",
    "a jpeg called png": encoded("JPEG"),
}.items():
    picture(f"called .png: {_name}", _content)


# -- pictures that lie about their size -----------------------------------------------------------


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth=8, colour=0, interlace=0, body=b"", extra=b""):
    head = struct.pack(
        ">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, depth, colour, 0, 0, interlace
    )
    parts = chunk(b"IHDR", head), extra, chunk(b"IDAT", body), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


ROWS = zlib.compress(bytes(9 * 8))  # of an 8x8 grey picture
for _name, _content in {
    "zero wide": png(0, 8, body=ROWS),
    "zero high": png(8, 0, body=ROWS),
    "negative": png(-8, -8, body=ROWS),
    "2^31": png(1 << 31, 1 << 31, body=ROWS),
    "2^31-1 wide": png((1 << 31) - 1, 1, body=ROWS),
    "too large": png(100, 100, body=ROWS),
    "too small": png(2, 2, body=ROWS),
    "13000x13000 of nothing": png(13000, 13000, body=ROWS),
    "14000x14000": png(14000, 14000, body=ROWS),
    "60000x60000": png(60000, 60000, 1, body=ROWS),
    "depth 3": png(8, 8, 3, body=ROWS),
    "colour 7": png(8, 8, 8, 7, body=ROWS),
    "interlace 9": png(8, 8, 8, 0, 9, body=ROWS),
    "a palette that is missing": png(8, 8, 8, 3, body=ROWS),
    "no data": png(8, 8),
    "a bomb in its text": png(
        8, 8, body=ROWS, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26)))
    ),
    "a bomb in its profile": png(
        8, 8, body=ROWS, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 26)))
    ),
    "a bomb in its rows": png(8, 8, body=zlib.compress(bytes(1 << 27))),
    "a chunk of 2^31": png(8, 8, body=ROWS, extra=struct.pack(">I", (1 << 31) - 1) + b"tEXt"),
    "two heads": png(
        8, 8, body=ROWS, extra=chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 6, 0, 0, 0))
    ),
    "a wrong checksum": png(8, 8, body=ROWS)[:29] + b"\0\0\0\0" + png(8, 8, body=ROWS)[33:],
}.items():
    picture(f"png: {_name}", _content)


def tiff(width, height, **tags):
    """A TIFF of one strip; `tags` replaces values by number, as t258=…"""
    values = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 64}
    values |= {int(key[1:]): value for key, value in tags.items()}
    entries = b"".join(
        struct.pack("<HHII", key, 4, 1, value) for key, value in sorted(values.items())
    )
    head = b"II*\0" + struct.pack("<I", 72)
    return head + bytes(64) + struct.pack("<H", len(values)) + entries + bytes(4)


def patched(content, place, new):
    return content[:place] + new + content[place + len(new) :]


BMP, GIF, TGA, JPEG = encoded("BMP"), encoded("GIF"), encoded("TGA"), encoded("JPEG")
SOF = JPEG.index(b"\xff\xc0") + 5
for _name, (_ending, _content) in {
    "bmp 2^31-1": ("bmp", patched(BMP, 18, struct.pack("<ii", (1 << 31) - 1, (1 << 31) - 1))),
    "bmp upside down": ("bmp", patched(BMP, 22, struct.pack("<i", -12))),
    "bmp negative": ("bmp", patched(BMP, 18, struct.pack("<i", -12))),
    "bmp zero": ("bmp", patched(BMP, 18, bytes(8))),
    "bmp data far away": ("bmp", patched(BMP, 10, b"\xff\xff\xff\x7f")),
    "bmp 13000x13000": ("bmp", patched(BMP, 18, struct.pack("<ii", 13000, 13000))),
    "gif 65535x65535": ("gif", patched(GIF, 6, b"\xff\xff\xff\xff")),
    "gif canvas zero": ("gif", patched(GIF, 6, bytes(4))),
    "gif frame outside": ("gif", patched(GIF, 6, b"\x02\0\x02\0")),
    "jpeg 65500x65500": ("jpg", patched(JPEG, SOF, struct.pack(">HH", 65500, 65500))),
    "jpeg 12000x12000": ("jpg", patched(JPEG, SOF, struct.pack(">HH", 12000, 12000))),
    "jpeg zero": ("jpg", patched(JPEG, SOF, bytes(4))),
    "tga 65535x65535": ("tga", patched(TGA, 12, b"\xff\xff\xff\xff")),
    "tga zero": ("tga", patched(TGA, 12, bytes(4))),
    "tiff 2^31": ("tif", tiff(1 << 31, 1 << 31)),
    "tiff zero": ("tif", tiff(0, 8)),
    "tiff 50000x50000": ("tif", tiff(50000, 50000)),
    "tiff 13000x13000": ("tif", tiff(13000, 13000)),
    "tiff strip far away": ("tif", tiff(8, 8, t273=0xFFFFFFF0)),
    "tiff strip of 2^32": ("tif", tiff(8, 8, t279=0xFFFFFFFF)),
    "tiff 255 samples": ("tif", tiff(8, 8, t277=255)),
    "tiff unknown packing": ("tif", tiff(8, 8, t259=31337)),
    "tiff that points at itself": ("tif", b"II*\0" + struct.pack("<I", 4)),
    "ppm huge": ("ppm", b"P6 99999 99999 255\n" + bytes(99)),
    "ppm negative": ("ppm", b"P6 -9 -9 255\n" + bytes(243)),
    "ppm no maximum": ("ppm", b"P5 3 3 0\n" + bytes(9)),
    "ppm large maximum": ("ppm", b"P5 3 3 70000\n" + bytes(18)),
    "ppm words": ("ppm", b"P3 3 3 255\n one two three four"),
    "ppm endless number": ("ppm", b"P6 " + b"9" * 100_000),
    "pfm not a number": ("pfm", b"Pf\n3 3\n-1.0\n" + struct.pack("<9f", *[float("nan")] * 9)),
    "pfm infinite": ("pfm", b"Pf\n3 3\n-1.0\n" + struct.pack("<9f", *[float("inf")] * 9)),
    "pfm scale zero": ("pfm", b"Pf\n3 3\n0\n" + bytes(36)),
    "webp canvas 16384": (
        "webp",
        patched(encoded("WEBP", noise(9, 9, 4), lossless=True), 24, b"\xff\x3f\0\xff\x3f\0"),
    ),
}.items():
    picture(_name, _content, _ending)


def bomb(kind, side, mode="1", **options):
    return lambda: encoded(kind, Image.new(mode, (side, side)), **options)


picture("bomb: png 14000x14000", bomb("PNG", 14000))
picture("bomb: tiff 14000x14000", bomb("TIFF", 14000, compression="group4"), "tif")


# -- pictures that are merely odd -----------------------------------------------------------------


def exif(value=None, raw=None):
    block = Image.Exif()
    if value is not None:
        block[0x0112] = value
    return encoded("JPEG", exif=raw if raw is not None else block.tobytes())


FRAMES = [Image.fromarray(noise(9, 9, 3, seed=s)) for s in (1, 2)]
for _name, (_ending, _content) in {
    "orientation 0": ("jpg", exif(0)),
    "orientation 9": ("jpg", exif(9)),
    "orientation 65535": ("jpg", exif(65535)),
    "orientation in words": (
        "jpg",
        exif(raw=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x03\0\0\0up\0\0" + bytes(4)),
    ),
    "exif rubbish": ("jpg", exif(raw=b"Exif\0\0" + noise(200).tobytes())),
    "exif cut": ("jpg", exif(raw=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")),
    "exif that points at itself": (
        "jpg",
        exif(raw=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"),
    ),
    "exif rubbish in a png": (
        "png",
        png(8, 8, body=ROWS, extra=chunk(b"eXIf", noise(60).tobytes())),
    ),
    "palette": ("png", encoded("PNG", Image.fromarray(noise(9, 9, 3)).quantize(5))),
    "palette with holes": (
        "png",
        encoded("PNG", Image.fromarray(noise(9, 9, 3)).quantize(5), transparency=2),
    ),
    "cmyk": ("jpg", encoded("JPEG", Image.fromarray(noise(9, 9, 4), "CMYK"))),
    "16 bit": ("png", encoded("PNG", noise(9, 9, high=65536, dtype=np.uint16))),
    "16 bit colour": ("png", png(4, 4, 16, 2, body=zlib.compress(bytes(4 * 25)))),
    "1 bit": ("tif", encoded("TIFF", Image.new("1", (9, 9)))),
    "signed": ("tif", encoded("TIFF", noise(9, 9).astype(np.int32) - 100)),
    "not a number": ("tif", encoded("TIFF", np.full((9, 9), np.nan, np.float32))),
    "infinite": ("tif", encoded("TIFF", np.full((9, 9), np.inf, np.float32))),
    "animated gif": ("gif", encoded("GIF", FRAMES[0], save_all=True, append_images=FRAMES[1:])),
    "animated png": ("png", encoded("PNG", FRAMES[0], save_all=True, append_images=FRAMES[1:])),
    "animated webp": ("webp", encoded("WEBP", FRAMES[0], save_all=True, append_images=FRAMES[1:])),
    "many pages": ("tif", encoded("TIFF", FRAMES[0], save_all=True, append_images=FRAMES[1:])),
    "1 x 30000": ("png", encoded("PNG", noise(1, 30000))),
}.items():
    picture(f"odd: {_name}", _content, _ending)


# -- folders --------------------------------------------------------------------------------------


def named(name, *places):
    @case(f"folder: {name}")
    def write(folder):
        put(folder / "good.png", encoded())
        for place in places:
            full = os.path.join(os.fsencode(folder), place)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as file:
                file.write(encoded())
            with open(full + b".broken.png", "wb"):
                pass
        return folder


named("a name that is no UTF-8", b"caf\xe9.png", b"\xff\xfe/a.png")
named("a name of two lines", b"a\nb.png", b"c\r\nd/e.png")
named("a name that paints the terminal", b"\x1b[31mred\x1b[0m.png", b"\x07\x08.png")
named("a name written from the right", "\u202egnp.exe.png".encode())
named("a very long name", b"x" * 230 + b".png")
named("spaces and quotes", b" a 'b' \"c\" $HOME `d` .png", b"-rf.png", b"*.png", b"{0..3}.png")
named("a deep place", b"d/" * 120 + b"a.png")


def special(name):
    def kept(make):
        @case(f"folder: {name}")
        def write(folder):
            put(folder / "good.png", encoded())
            return make(folder) or folder

    return kept


special("a link to itself")(lambda folder: (folder / "a.png").symlink_to(folder / "a.png"))
special("a link into nothing")(lambda folder: (folder / "a.png").symlink_to(folder / "gone.png"))
special("a link in a circle")(lambda folder: (folder / "down").symlink_to(folder))
special("a link to /dev/zero")(lambda folder: (folder / "a.png").symlink_to("/dev/zero"))
special("a link to the root")(lambda folder: (folder / "up").symlink_to("/"))
special("a pipe")(lambda folder: os.mkfifo(folder / "a.png"))
special("a folder called .png")(lambda folder: (folder / "a.png").mkdir())
special("an empty subfolder")(lambda folder: (folder / "empty").mkdir())


@special("a socket")
def _socket(folder):
    here = os.getcwd()
    os.chdir(folder)  # the whole path may be too long for a socket
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("a.png")
    os.chdir(here)


@special("a pipe, asked for by name")
def _pipe(folder):
    os.mkfifo(folder / "a.png")
    return folder / "a.png"


@special("a folder called .png, asked for by name")
def _folder(folder):
    (folder / "a.png").mkdir()
    return folder / "a.png"


@special("a picture that may not be read")
def _secret(folder):
    put(folder / "a.png", encoded()).chmod(0)


@special("a subfolder that may not be listed")
def _locked(folder):
    put(folder / "sub/a.png", encoded()).parent.chmod(0)


@case("folder: empty")
def _nothing(folder):
    return folder


@case("folder: not there")
def _gone(folder):
    return folder / "gone"


@case("folder: a name with a zero in it")
def _zero(folder):
    return f"{folder}/a\0b"


@case("folder: archives in it")
def _archives(folder):
    put(folder / "a.zip", zipped())
    put(folder / "b.tar.gz", b"\x1f\x8b" + bytes(50))
    return folder


@case("classes: one picture each, one empty, one of a strange name")
def _classes(folder):
    for name in ("a", "b\n", "c\x1b[31m"):
        put(folder / name / "1.png", encoded())
    (folder / "empty").mkdir()
    return folder


@case("classes: more than a thousand")
def _thousands(folder):
    for i in range(1100):
        put(folder / f"{i:04}" / "1.pgm", b"P5 2 2 255\n" + bytes(4))
    return folder


@case("classes: all broken but one")
def _all_but_one(folder):
    for name in "abc":
        put(folder / name / "1.png", encoded()[:50] if name != "b" else encoded())
    return folder


# -- while it is read -----------------------------------------------------------------------------


def changing(name, change):
    def meanwhile(folder):
        change(folder / "b.png")

    @case(f"meanwhile: {name}", meanwhile)
    def write(folder):
        put(folder / "a.png", encoded())
        put(folder / "b.png", encoded(pixels=noise(12, 12, 3, seed=1)))
        return folder


def instead(make):
    def change(place):
        place.unlink()
        make(place)

    return change


def restless(place):
    """Another size and mode every millisecond, for as long as reading takes."""
    forms = [encoded(pixels=noise(*shape)) for shape in ((3, 40), (90, 7, 3), (1, 1, 4))]

    def run():
        end = time.monotonic() + 0.3
        for turn in range(10_000):
            place.with_suffix(".new").write_bytes(forms[turn % 3])
            os.replace(place.with_suffix(".new"), place)
            if time.monotonic() > end:
                return

    threading.Thread(target=run, name="restless").start()


changing("deleted", lambda place: place.unlink())
changing("cut", lambda place: os.truncate(place, 60))
changing("emptied", lambda place: os.truncate(place, 0))
changing("another size", lambda place: put(place, encoded(pixels=noise(50, 3, 3))))
changing(
    "another mode",
    lambda place: put(place, encoded(pixels=noise(12, 12, high=65536, dtype=np.uint16))),
)
changing("text", lambda place: put(place, b"hello"))
changing("a pipe", instead(os.mkfifo))
changing("a folder", instead(os.mkdir))
changing("a bomb", lambda place: put(place, png(60000, 60000, 1, body=ROWS)))
changing("a link in a circle", instead(lambda place: place.symlink_to(place)))
changing("another every millisecond", restless)
changing("the whole folder", lambda place: [p.unlink() for p in sorted(place.parent.iterdir())])
