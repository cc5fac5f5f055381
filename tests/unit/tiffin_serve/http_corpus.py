"""Malformed HTTP, item by item: what is sent, what must come back, and a twin without the fault that succeeds.

The server has the model `iris`; it takes bodies of 100,000 bytes and heads of 32,768 bytes and 100 fields.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

HOST = b"Host: x\r\n"
ROWS = b"[[1,2,3,4]]"
PING = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One fault. `answers` are the statuses in their order; after a fault that `closes` nothing more is read."""

    name: str
    sent: bytes
    answers: tuple[int, ...]
    twin: bytes
    twin_answers: tuple[int, ...] = (200,)
    closes: bool = True


def get(line: bytes = b"GET /v2/health/live HTTP/1.1", headers: bytes = HOST) -> bytes:
    return b"%b\r\n%b\r\n" % (line, headers)


def post(headers: bytes, body: bytes) -> bytes:
    return b"POST /predict HTTP/1.1\r\nHost: x\r\n%b\r\n%b" % (headers, body)


def chunked(body: bytes, headers: bytes = b"") -> bytes:
    return post(headers + b"Transfer-Encoding: chunked\r\n", body)


def chunk(size: bytes = b"b", end: bytes = b"\r\n", after: bytes = b"\r\n", last: bytes = b"0\r\n\r\n") -> bytes:
    return size + end + ROWS + after + last


def length(value: bytes = b"11") -> bytes:
    return b"Content-Length: %b\r\n" % value


PLAIN = post(length(), ROWS)
CHUNKED = chunked(chunk())
GET = get()


def bad_get(name: str, sent: bytes, status: int = 400, twin: bytes = GET, *, closes: bool = True) -> Item:
    return Item(name=name, sent=sent, answers=(status,), twin=twin, closes=closes)


def bad_post(name: str, headers: bytes, body: bytes = ROWS, status: int = 400, twin: bytes = PLAIN) -> Item:
    return Item(name=name, sent=post(headers, body), answers=(status,), twin=twin)


def bad_chunks(name: str, body: bytes, status: int = 400, twin: bytes = CHUNKED) -> Item:
    return Item(name=name, sent=chunked(body), answers=(status,), twin=twin)


def coding(value: bytes, status: int, name: bytes = b"Transfer-Encoding: ") -> Item:
    sent = post(name + value + b"\r\n", chunk())
    return Item(name=f"coding {name!r} {value!r}", sent=sent, answers=(status,), twin=CHUNKED)


LINES = [
    bad_get("no version", b"GET /v2/health/live\r\n\r\n", 505),
    bad_get("version 0.9", get(b"GET /v2/health/live HTTP/0.9"), 505),
    bad_get("version 1.2", get(b"GET /v2/health/live HTTP/1.2")),
    bad_get("version 2.0", get(b"GET /v2/health/live HTTP/2.0"), 505),
    bad_get("version in small letters", get(b"GET /v2/health/live http/1.1")),
    bad_get("blank after the version", get(b"GET /v2/health/live HTTP/1.1 ")),
    bad_get("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    bad_get("hello of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x9c" * 64),
    bad_get("unknown method", get(b"FOO /v2/health/live HTTP/1.1")),
    bad_get("method in small letters", get(b"get /v2/health/live HTTP/1.1")),
    bad_get("blank in the target", get(b"GET /v2/health/ live HTTP/1.1")),
    bad_get("tab after the method", get(b"GET\t/v2/health/live HTTP/1.1")),
    bad_get("NUL in the target", get(b"GET /v2/health/\0live HTTP/1.1")),
    bad_get("byte above 127 in the target", get(b"GET /v2/health/\xfflive HTTP/1.1")),
    bad_get("no target", get(b"GET HTTP/1.1")),
    bad_get("relative target", get(b"GET v2/health/live HTTP/1.1")),
    bad_get("asterisk of a GET", get(b"GET * HTTP/1.1"), twin=get(b"OPTIONS * HTTP/1.1")),
    bad_get(
        "other scheme", get(b"GET ftp://x/v2/health/live HTTP/1.1"), twin=get(b"GET http://x/v2/health/live HTTP/1.1")
    ),
    bad_get("no host in the target", get(b"GET http:///v2/health/live HTTP/1.1")),
    bad_get("user in the target", get(b"GET http://a@x/v2/health/live HTTP/1.1")),
    bad_get("port of letters in the target", get(b"GET http://x:9z/v2/health/live HTTP/1.1")),
    bad_get("tunnel", get(b"CONNECT x:80 HTTP/1.1")),
    bad_get(
        "percent without digits",
        get(b"GET /v2/%zz HTTP/1.1"),
        404,
        get(b"GET /v2/health/%6cive HTTP/1.1"),
        closes=False,
    ),
    bad_get("invalid UTF-8 by percent", get(b"GET /v2/%ff%fe HTTP/1.1"), 404, closes=False),
    bad_get("fragment", get(b"GET /v2/health/live#x HTTP/1.1"), 404, closes=False),
    bad_get("target of 40,000 bytes", get(b"GET /" + b"x" * 40_000 + b" HTTP/1.1"), 431),
    bad_get("garbage", b"\x00\x01\x02\x03\r\n\r\n"),
    bad_get("line feeds alone", b"GET /v2/health/live HTTP/1.1\nHost: x\n\n"),
]

HEADERS = [
    bad_get("no host", get(headers=b"")),
    bad_get("two hosts", get(headers=HOST + b"Host: y\r\n")),
    bad_get("the same host twice", get(headers=HOST + HOST)),
    bad_get("blank in the host", get(headers=b"Host: x y\r\n")),
    bad_get("path in the host", get(headers=b"Host: x/y\r\n")),
    bad_get("user in the host", get(headers=b"Host: a@x\r\n")),
    bad_get("port of letters", get(headers=b"Host: x:9z\r\n"), twin=get(headers=b"Host: [::1]:80\r\n")),
    bad_get("line feed alone after a header", get(headers=HOST + b"A: b\n")),
    bad_get("carriage return in a value", get(headers=HOST + b"A: b\rc\r\n")),
    bad_get("folded value", get(headers=HOST + b"A: b\r\n c\r\n")),
    bad_get("blank before the first name", get(headers=b" A: b\r\n" + HOST)),
    bad_get("blank before the colon", get(headers=HOST + b"A : b\r\n"), twin=get(headers=HOST + b"A: b\r\n")),
    bad_get("tab before the colon", get(headers=HOST + b"A\t: b\r\n")),
    bad_get("no name", get(headers=HOST + b": b\r\n")),
    bad_get("no colon", get(headers=HOST + b"A\r\n")),
    bad_get("parenthesis in a name", get(headers=HOST + b"A(: b\r\n")),
    bad_get("NUL in a name", get(headers=HOST + b"A\0: b\r\n")),
    bad_get("NUL in a value", get(headers=HOST + b"A: b\0c\r\n")),
    bad_get(
        "control character in a value", get(headers=HOST + b"A: b\x0bc\r\n"), twin=get(headers=HOST + b"A: b\xffc\r\n")
    ),
    bad_get(
        "header of a mebibyte",
        get(headers=HOST + b"A: " + b"x" * 2**20 + b"\r\n"),
        431,
        get(headers=HOST + b"A: " + b"x" * 30_000 + b"\r\n"),
    ),
    bad_get("10,000 headers", get(headers=HOST + b"A: b\r\n" * 10_000), 431, get(headers=HOST + b"A: b\r\n" * 99)),
    bad_get("101 headers", get(headers=HOST + b"A: b\r\n" * 100), 431),
    bad_get("10,000 different headers", get(headers=HOST + b"".join(b"A%d: b\r\n" % n for n in range(10_000))), 431),
    bad_post("expectation", b"Expect: 200-ok\r\n" + length(), status=417, twin=post(length(), ROWS)),
]

LENGTHS = [
    bad_post("two lengths", length() + length(b"12")),
    bad_post("the same length twice", length() + length()),
    bad_post("a list of lengths", length(b"11, 11")),
    bad_post("a list of different lengths", length(b"11, 0")),
    bad_post("plus", length(b"+11")),
    bad_post("minus", length(b"-11")),
    bad_post("hexadecimal", length(b"0xb")),
    bad_post("no digits", length(b"")),
    bad_post("letters", length(b"eleven")),
    bad_post("blank in the length", length(b"1 1")),
    bad_post("2**64", length(b"18446744073709551616")),
    bad_post("2**64-1", length(b"18446744073709551615"), status=413),
    bad_post(
        "larger than bodies may be", length(b"100001"), status=413, twin=post(length(b"100000"), ROWS.ljust(100_000))
    ),
    bad_post("blank before the colon of the length", b"Content-Length : 11\r\n"),
    bad_post("length and chunks", length() + b"Transfer-Encoding: chunked\r\n", chunk()),
    bad_post("chunks and length", b"Transfer-Encoding: chunked\r\n" + length(), chunk()),
    bad_post("chunks and length 0", b"Transfer-Encoding: chunked\r\n" + length(b"0"), chunk()),
    Item(name="body without a length", sent=post(b"", ROWS), answers=(400, 400), twin=PLAIN),
]

CODINGS = [
    coding(b"chunked, chunked", 400),
    coding(b"chunked\r\nTransfer-Encoding: chunked", 400),
    coding(b"chunked, identity", 400),
    coding(b"chunked, gzip", 400),
    coding(b"gzip, chunked", 501),
    coding(b"identity, chunked", 501),
    coding(b"gzip\r\nTransfer-Encoding: chunked", 501),
    coding(b"identity", 501),
    coding(b"xchunked", 501),
    coding(b"chunkedx", 501),
    coding(b'"chunked"', 501),
    coding(b"chunked;q=1", 501),
    coding(b"", 400),
    coding(b"\x0bchunked", 400),
    coding(b"x\r\n chunked", 400),
    coding(b"chunked", 400, b"Transfer-Encoding : "),
    coding(b"chunked", 400, b"Transfer-Encoding\t: "),
    coding(b"chunked", 400, b"Transfer\0-Encoding: "),
    Item(
        name="chunks of an old client",
        sent=b"POST /predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(),
        answers=(400,),
        twin=b"POST /predict HTTP/1.0\r\nConnection: keep-alive\r\n" + length() + b"\r\n" + ROWS,
    ),
]

CHUNKS = [
    bad_chunks("size of a letter that is no digit", chunk(b"z")),
    bad_chunks("size with 0x", chunk(b"0xb")),
    bad_chunks("negative size", chunk(b"-b")),
    bad_chunks("plus before the size", chunk(b"+b")),
    bad_chunks("blank before the size", chunk(b" b")),
    bad_chunks("blank after the size", chunk(b"b ")),
    bad_chunks("underscore in the size", chunk(b"0_b")),
    bad_chunks("no size", chunk(b"")),
    bad_chunks("size of 17 digits", chunk(b"fffffffffffffffff")),
    bad_chunks(
        "size beyond the limit",
        b"186a1\r\n" + b"x" * 100_001,
        413,
        chunked(b"186a0\r\n" + ROWS.ljust(100_000) + b"\r\n0\r\n\r\n"),
    ),
    bad_chunks("line feed alone after the size", chunk(end=b"\n")),
    bad_chunks("carriage return alone after the size", chunk(end=b"\r")),
    bad_chunks("line feed alone after the data", chunk(after=b"\n")),
    bad_chunks("data longer than its size", chunk(b"a")),
    bad_chunks("line feed in an extension", chunk(b"b;a\nb"), twin=chunked(chunk(b"b;a=b"))),
    bad_chunks("empty extension", chunk(b"b;")),
    bad_chunks("quote that does not end", chunk(b'b;a="b'), twin=chunked(chunk(b'b;a="b;c"'))),
    bad_chunks("NUL in an extension", chunk(b"b;a=\0")),
    bad_chunks("extension of a mebibyte", chunk(b"b;a=" + b"x" * 2**20), twin=chunked(chunk(b"b;a=" + b"x" * 4_000))),
    bad_chunks("extensions without end", b"1;" + b"a" * 3_000_000),
    bad_chunks(
        "trailer of a mebibyte",
        chunk(last=b"0\r\nX: " + b"x" * 2**20 + b"\r\n\r\n"),
        twin=chunked(chunk(last=b"0\r\nX: y\r\n\r\n")),
    ),
    bad_chunks(
        "length in a trailer",
        chunk(last=b"0\r\nContent-Length: 7\r\n\r\n"),
        twin=chunked(chunk(last=b"0\r\nHost: y\r\n\r\n")),
    ),
    bad_chunks("coding in a trailer", chunk(last=b"0\r\nTransfer-Encoding: chunked\r\n\r\n")),
]


def encoded(encoding: bytes, body: bytes) -> bytes:
    return post(b"Content-Encoding: %b\r\n" % encoding + length(b"%d" % len(body)), body)


def bad_encoding(name: str, encoding: bytes, body: bytes, status: int = 400) -> Item:
    return Item(name=name, sent=encoded(encoding, body), answers=(status,), twin=encoded(b"gzip", gzip.compress(ROWS)))


ENCODINGS = [
    bad_encoding("gzip that is none", b"gzip", ROWS),
    bad_encoding("gzip that ends too early", b"gzip", gzip.compress(ROWS)[:-4]),
    bad_encoding("gzip with a wrong sum", b"gzip", gzip.compress(ROWS)[:-8] + bytes(8)),
    bad_encoding("gzip with garbage after it", b"gzip", gzip.compress(ROWS) + b"x"),
    bad_encoding("bomb of gzip", b"gzip", gzip.compress(bytes(50_000_000)), 413),
    bad_encoding("bomb of two members", b"gzip", gzip.compress(bytes(60_000)) * 2, 413),
    bad_encoding("bomb of deflate", b"deflate", zlib.compress(bytes(50_000_000)), 413),
    bad_encoding("deflate that is gzip", b"deflate", gzip.compress(ROWS)),
    bad_encoding("unknown encoding", b"br", ROWS, 415),
    bad_encoding("two encodings", b"gzip, gzip", gzip.compress(gzip.compress(ROWS)), 415),
]

PAIRS = [
    Item(
        name="request hidden behind a length",
        sent=post(length(b"0") + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n" + PING),
        answers=(400,),
        twin=chunked(chunk()) + PING,
        twin_answers=(200, 200),
    ),
    Item(
        name="request hidden in a body that another server does not see",
        sent=post(b"Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n", b"0\r\n\r\n" + PING),
        answers=(400,),
        twin=post(length(b"%d" % (11 + 64)), ROWS.ljust(75)) + PING,
        twin_answers=(200, 200),
    ),
    Item(
        name="request after the last one",
        sent=get(headers=HOST + b"Connection: close\r\n") + PING,
        answers=(200,),
        twin=GET + PING,
        twin_answers=(200, 200),
    ),
    Item(
        name="request after an upgrade",
        sent=get(headers=HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n") + PING,
        answers=(200,),
        twin=get(headers=HOST + b"Upgrade: websocket\r\n") + PING,
        twin_answers=(200, 200),
    ),
    Item(
        name="request after one that is refused",
        sent=GET + get(headers=b"") + PING,
        answers=(200, 400),
        twin=GET + GET + PING,
        twin_answers=(200, 200, 200),
    ),
    Item(
        name="target of another host than the header's",
        sent=get(b"GET http://y/v2/health/live HTTP/1.1") + get(b"GET http://y/none?a=/v2/health/live HTTP/1.1"),
        answers=(200, 404),
        twin=get(b"GET HTTP://x:80/v2/health/live?a=b HTTP/1.1"),
        closes=False,
    ),
    Item(name="empty lines before a request", sent=b"\r\n\r\n" + GET, answers=(200,), twin=GET, closes=False),
]

CORPUS = [*LINES, *HEADERS, *LENGTHS, *CODINGS, *CHUNKS, *ENCODINGS, *PAIRS]
