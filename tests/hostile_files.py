"""Shards and tables as nobody should have to meet them; more of `hostile.CASES`."""

import gzip
import io
import json
import os
import tarfile

from hostile import case, encoded, put

PICTURE = encoded()


def archive(*members, form=tarfile.PAX_FORMAT):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as made:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content) if info.isreg() else 0
            made.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def shard(name, content):
    @case(f"shard: {name}")
    def write(folder):
        return put(folder / "s.tar", content() if callable(content) else content)


def member(kind, name="a.png"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "../../../etc/passwd"
    return info


def sized(size):
    """A member whose header claims `size` bytes, its checksum right."""
    head = bytearray(tarfile.TarInfo("b.png").tobuf())
    if size < 0:
        head[124:136] = (256**12 + size).to_bytes(12, "big")
    elif size < 8**11:
        head[124:136] = f"{size:011o}\0".encode()
    else:
        head[124:136] = b"\x80" + size.to_bytes(11, "big")
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head[:512]):06o}\0 ".encode()
    return archive(("a.png", PICTURE))[:1024] + bytes(head) + bytes(1024)


def extended(kind, length):
    """A pax or GNU header that claims `length` bytes."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, length
    return archive(("a.png", PICTURE))[:1024] + info.tobuf() + b"9 path=a\n" * 99


GOOD = [("a.png", PICTURE), ("a.cls", b"0"), ("b.png", PICTURE), ("b.cls", b"1")]
WHOLE = archive(*GOOD)
for _name, _content in {
    "empty": b"",
    "zeros": bytes(10240),
    "garbage": b"junk" * 3000,
    "text": b"hello",
    "no end": WHOLE[:4096],
    "cut in a header": WHOLE[:2300],
    "cut in a picture": WHOLE[:2700],
    "cut in the first header": WHOLE[:100],
    "garbage after the first": WHOLE[:1024] + b"junk" * 1000,
    "zipped": gzip.compress(WHOLE),
    "out of its folder": archive(("../../../etc/a.png", PICTURE), ("..", b""), ("../..", b"")),
    "absolute": archive(("/etc/passwd.png", PICTURE), ("//b.png", PICTURE)),
    "links": archive((member(tarfile.SYMTYPE), b""), (member(tarfile.LNKTYPE), b""), *GOOD),
    "devices": archive((member(tarfile.CHRTYPE), b""), (member(tarfile.BLKTYPE), b""), *GOOD),
    "pipes": archive((member(tarfile.FIFOTYPE), b""), *GOOD),
    "only a link": archive((member(tarfile.SYMTYPE), b"")),
    "an unknown kind": archive((member(b"Z"), b""), *GOOD),
    "a sparse file": archive((member(tarfile.GNUTYPE_SPARSE), b""), *GOOD),
    "one name twice": archive(*GOOD, *GOOD),
    "a thousand times one name": archive(*[("a.png", PICTURE)] * 1000),
    "negative size": sized(-512),
    "size 2^31": sized(1 << 31),
    "size 2^80": sized(1 << 80),
    "a pax header of 2^33": extended(tarfile.XHDTYPE, 1 << 33),
    "a pax header of rubbish": extended(tarfile.XHDTYPE, 512),
    "a global header of rubbish": extended(tarfile.XGLTYPE, 512),
    "a long name of 2^33": extended(tarfile.GNUTYPE_LONGNAME, 1 << 33),
    "a long link": extended(tarfile.GNUTYPE_LONGLINK, 600),
    "a name of 100,000 letters": archive(("x" * 100_000 + ".png", PICTURE)),
    "a deep name": archive(("d/" * 3000 + "a.png", PICTURE)),
    "names that paint the terminal": archive(
        ("\x1b[31m\n.png", PICTURE), ("\x1b[31m\n.cls", b"\x1b]0;x\x07")
    ),
    "names that are no UTF-8": archive((b"\xff\xfe.png".decode("utf-8", "surrogateescape"), b"")),
    "a name of nothing": archive((".png", PICTURE), ("", b""), ("a.", b"")),
    "empty pictures": archive(("a.png", b""), ("b.png", b"")),
    "one good picture": archive(("a.png", b"hello"), ("b.png", PICTURE), ("c.png", PICTURE[:60])),
    "in a shard": archive(("a.tar", WHOLE), ("b.zip", b"PK")),
    "labels of rubbish": archive(("a.png", PICTURE), ("a.cls", bytes(range(256)))),
    "a label of a megabyte": archive(*GOOD, ("a.cls", b"9" * (1 << 20))),
    "a class of thousands of digits": archive(*GOOD, ("a.cls", b"9" * 4000)),
    "json that nests": archive(("a.png", PICTURE), ("a.json", b"[" * 100_000)),
    "json of rubbish": archive(("a.png", PICTURE), ("a.json", b"{\xff")),
    "json of numbers": archive(("a.png", PICTURE), ("a.json", b'{"label": 1' + b"0" * 9000 + b"}")),
    "json of a list": archive(("a.png", PICTURE), ("a.json", json.dumps([{"label": 1}]).encode())),
    "json labels of every kind": archive(
        *[(f"{i}.png", PICTURE) for i in range(5)],
        *[
            (f"{i}.json", json.dumps({"label": label}).encode())
            for i, label in enumerate([None, True, [1], {"a": 1}, 1e400])
        ],
    ),
    "a bomb": archive(
        ("a.png", PICTURE), ("b.png", encoded("PNG", pixels=None)[:16] + b"\x7f" * 99)
    ),
}.items():
    shard(_name, _content)


@case("shard: a folder")
def _folder(folder):
    (folder / "s.tar").mkdir()
    return folder / "s.tar"


@case("shard: a pipe")
def _pipe(folder):
    os.mkfifo(folder / "s.tar")
    return folder / "s.tar"


@case("shard: a link into nothing")
def _link(folder):
    (folder / "s.tar").symlink_to(folder / "gone.tar")
    return folder


@case("shard: braces without end")
def _braces(folder):
    return folder / "s-{0..99999999999}.tar"


def changing_shard(name, change):
    @case(f"shard, meanwhile: {name}", lambda folder: change(folder / "s.tar"))
    def write(folder):
        return put(folder / "s.tar", WHOLE)


changing_shard("deleted", lambda place: place.unlink())
changing_shard("cut", lambda place: os.truncate(place, 700))
changing_shard("replaced", lambda place: place.write_bytes(WHOLE[::-1]))


# -- tables ---------------------------------------------------------------------------------------


def parquet(columns):
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def table(name, columns, change=bytes):
    @case(f"table: {name}")
    def write(folder):
        return put(folder / "t.parquet", change(parquet(columns)))


PLAIN = {"image": [PICTURE, PICTURE]}
table("cut at the end", PLAIN, lambda content: content[:-9])
table("cut in the middle", PLAIN, lambda content: content[: len(content) // 2])
table("its data spoilt", PLAIN, lambda content: content[:4] + bytes(60) + content[64:])
table("its foot spoilt", PLAIN, lambda content: content[:-60] + b"\xff" * 40 + content[-20:])
table("garbage", PLAIN, lambda content: b"PAR1" + b"junk" * 99 + b"PAR1")
table("empty", PLAIN, lambda content: b"")
table("no rows", {"image": __import__("pyarrow").array([], "binary")})
table("no pictures", {"a\x1b[31m": [1, 2], "b\n": ["x", "y"]})
table("two columns of strange names", {"a\x1b[31m": [PICTURE], "b\n": [PICTURE]})
table("empty cells", {"image": [None, PICTURE, b""]})
table("nothing but empty cells", {"image": __import__("pyarrow").array([None, None], "binary")})
table("text for pictures", {"image": [b"hello", b"\0" * 99]})
table(
    "paths for pictures",
    {
        "image": [
            {"bytes": None, "path": path}
            for path in ("/dev/zero", "/etc/passwd", "https://nowhere.invalid/a.png")
        ]
    },
)
table("words for bytes", {"image": [{"bytes": "hello", "path": "x"}]})
table("strange classes", {"image": [PICTURE] * 3, "label": ["\x1b[31m", "a\nb", None]})


def numbers(name, content):
    """Tables of numbers, read as series: too short, spoilt, or no table at all."""

    @case(f"numbers: {name}")
    def write(folder):
        return put(folder / "sensors.csv", content)


numbers("missing values", b"time,heat\n0,1.5\n1,\n2,NaN\n")
numbers("infinite values", b"time,heat\n0,inf\n1,-inf\n2,1e999\n")
numbers("rows of many lengths", b"a,b\n1\n1,2,3,4\n\n,,\n")
numbers("no UTF-8", b"\xff\xfea\x00,\x00b\x00\n\x001\x00")
numbers("empty", b"")
