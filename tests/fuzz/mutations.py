"""What is done to valid requests.

After those of `INTACT` it is still one request, with one answer; after one of `BREAKING` nobody knows how many.
"""

from __future__ import annotations

import copy
import gzip
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from fuzz.drafts import Draft

Raw = msgspec.Raw
ODD = [
    *(b"null true false 0 -1 1 1.5 -0.0 1e308 1e999 -1e999 NaN Infinity -Infinity 1e-400 0x10 01 +1 .5".split()),
    *(b"127 128 255 256 65536 2147483648 9223372036854775807 9223372036854775808 -9223372036854775809".split()),
    *(b'18446744073709551616 4294967296 {} [] [[]] [{}] {"":0} [1,[2]] [[1],2] [null] "" "x" "1" "NaN"'.split()),
    *(b'"FP64" "INT8" "BYTES" "BOOL" "FP16" "BF16" "UINT64" "FP8" "\\u0000" "\\ud800" "\\ud83d\\ude00"'.split()),
    b"9" * 400,
    b"-" + b"9" * 5000,
    b"0." + b"1" * 5000,
    b'"' + b"x" * 10_000 + b'"',
    b'"\xff\xfe"',
    b'"\xc3\xa4"',
    b"[" + b"1," * 3000 + b"1]",
    b"[" * 200 + b"]" * 200,
    b"[" * 5000 + b"]" * 5000,
    b"[" * 60_000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
    b'{"binary_data_size":8}',
    b'{"binary_data_size":-8}',
    b'{"binary_data_size":9223372036854775807}',
    b'{"binary_data":true}',
    b'{"content_type":"base64"}',
    b'{"timeout":1e300}',
    b'{"shared_memory_region":"r"}',
]
SHAPES = [[], [0], [-1], [1], [2], [1, 1], [0, 0], [2**31], [2**62, 4], [2**63 - 1], [1] * 33, [3, 0, 2**40], [2, 2]]
METHODS = [b"GET", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE"]
PATHS = [
    *b"""
    / /predict /v2 /v2/ /v2/models/iris/infer /v2/models/rose/infer /v2/models/iris/versions/9/infer
    /v2/models/iris/versions/1/infer /v2/models/iris/generate /v2/models/iris/generate_stream /invocations
    /v2/models/iris/infer_stream /v1/models/iris:predict /v1/models/iris:classify /v1/models/iris/metadata
    /%70redict /predict%00 /../../etc/passwd /%ff%fe /predict?x=1 //predict /predict/ /v2/repository/index
    /v2/models/iris/config /v2/models/stats /openapi.json /metrics /docs /ping /version /health /favicon.ico
    /v2/models/%s%d{}/infer
    """.split(),
    b"/" + b"a" * 5000,
]
FIELDS = [
    *[(b"Content-Type", kind) for kind in (b"", b"text/csv", b"application/x-npy", b"application/x-ndjson", b"\xff")],
    *[
        (b"Content-Type", kind)
        for kind in (b"application/octet-stream", b"image/png", b"text/csv; charset=latin-1", b";")
    ],
    *[
        (b"Accept", kind)
        for kind in (b"text/csv", b"application/x-npy", b"*/*", b"text/event-stream", b"x" * 900, b",,")
    ],
    (b"Accept", b"application/x-ndjson"),
    *[
        (b"Inference-Header-Content-Length", size)
        for size in (b"0", b"5", b"-1", b"x", b"1e3", b"9" * 30, b"\xb2", b"")
    ],
    *[
        (b"X-Request-Deadline-Ms", b"x"),
        (b"traceparent", b"00-zz"),
        (b"Authorization", b"Bearer \xff"),
        (b"Origin", b"\xe9"),
    ],
    *[
        (b"Cookie", b"x" * 3000),
        (b"X-Many", b"1"),
        (b"Accept-Encoding", b"br"),
        (b"Forwarded", b"for=x"),
        (b"TE", b"trailers"),
    ],
    (b"Content-Encoding", b"identity"),
]


def places(tree: Any) -> list[tuple[Any, Any]]:
    """List every place of a tree: its container and the key or position in it."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            found += [(node, key) for key in node]
            waiting += node.values()
        elif isinstance(node, list):
            found += [(node, position) for position in range(len(node))]
            waiting += node
    return found


def _somewhere(random: Random, draft: Draft) -> tuple[Any, Any] | None:
    found = places(draft.tree)
    return random.choice(found) if found else None


def odd_value(random: Random, draft: Draft) -> None:
    """Put something else where a value was; it may be no JSON."""
    if place := _somewhere(random, draft):
        place[0][place[1]] = Raw(random.choice(ODD))


def another_shape(random: Random, draft: Draft) -> None:
    """Let shapes disagree."""
    found = [place for place in places(draft.tree) if place[1] == "shape"]
    if found:
        container, key = random.choice(found)
        container[key] = list(random.choice(SHAPES))  # what comes after may change it


def another_number(random: Random, draft: Draft) -> None:
    """Move one number."""
    found = [(box, key) for box, key in places(draft.tree) if isinstance(box[key], (int, float))]
    if found:
        container, key = random.choice(found)
        container[key] = random.choice(
            [-1, 0, 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 1e300, -1.5, container[key] + 1]
        )


def leave_out(random: Random, draft: Draft) -> None:
    """Take a value away."""
    if place := _somewhere(random, draft):
        del place[0][place[1]]


def rename(random: Random, draft: Draft) -> None:
    """Call something by another name."""
    found = [(box, key) for box, key in places(draft.tree) if isinstance(key, str)]
    if found:
        container, key = random.choice(found)
        container[random.choice(["", "x", "a", "inputs", "data", "parameters", key.upper(), key + "\0", "é" * 9])] = (
            container.pop(key)
        )


def twice(random: Random, draft: Draft) -> None:
    """Say something twice: an element, or a key."""
    place = _somewhere(random, draft)
    if place is None:
        return
    container, key = place
    if isinstance(container, list):
        container.insert(random.randint(0, len(container)), copy.deepcopy(container[key]))
    elif container is draft.tree:
        encoded = msgspec.json.encode(container)
        draft.tree = Raw(b"{%b:%b,%b" % (msgspec.json.encode(key), msgspec.json.encode(container[key]), encoded[1:]))
    else:
        container[key] = [container[key], container[key]]


def transplant(random: Random, draft: Draft) -> None:
    """Put one part of the tree where another was."""
    one, other = _somewhere(random, draft), _somewhere(random, draft)
    if one and other:
        other[0][other[1]] = copy.deepcopy(one[0][one[1]])


def whole_body(random: Random, draft: Draft) -> None:
    """Send only an odd value."""
    draft.tree, draft.body = None, random.choice(ODD)


def flip(random: Random, draft: Draft) -> None:
    """Flip bits of the body."""
    draft.freeze()
    draft.body = flipped(random, draft.body)


def flipped(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, 4) if changed else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut(random: Random, draft: Draft) -> None:
    """End the body early."""
    draft.freeze()
    draft.body = draft.body[: random.randint(0, len(draft.body))]


def insert(random: Random, draft: Draft) -> None:
    """Put bytes into the body."""
    draft.freeze()
    at = random.randint(0, len(draft.body))
    what = random.choice(
        [random.randbytes(3), random.choice(ODD), b"\0", b'"', b",", b"\r\n", draft.body[:50], b"\xef\xbb\xbf"]
    )
    draft.body = draft.body[:at] + what + draft.body[at:]


def noise(random: Random, draft: Draft) -> None:
    """Send bytes that mean nothing."""
    draft.tree, draft.body = None, random.randbytes(random.choice([1, 7, 64, 300, 4000]))


def path(random: Random, draft: Draft) -> None:
    """Ask elsewhere."""
    draft.target = random.choice(PATHS)


def method(random: Random, draft: Draft) -> None:
    """Ask otherwise."""
    draft.method = random.choice(METHODS)


def field(random: Random, draft: Draft) -> None:
    """Say something more in the head, or in place of what was there."""
    name, value = random.choice(FIELDS)
    if random.random() < 0.5:
        draft.headers = [kept for kept in draft.headers if kept[0] != name]
    draft.headers.append((name, value))


def double_field(random: Random, draft: Draft) -> None:
    """Say a header twice."""
    if draft.headers:
        draft.headers.append(random.choice(draft.headers))


def lying_fields(random: Random, draft: Draft) -> None:
    """Say another length of the JSON before raw tensors."""
    draft.freeze()
    name = b"Inference-Header-Content-Length"
    draft.headers = [kept for kept in draft.headers if kept[0] != name]
    draft.headers.append(
        (name, b"%d" % random.choice([0, 1, len(draft.body) - 1, len(draft.body), len(draft.body) + 1, 2**62]))
    )


def squeeze(random: Random, draft: Draft) -> None:
    """Compress the body, perhaps badly, into a few that inflate alike."""
    draft.freeze()
    packed = gzip.compress(draft.body) if random.random() < 0.5 else zlib.compress(draft.body)
    coding = random.choice([b"gzip", b"deflate", b"GZIP"])
    draft.headers.append((b"Content-Encoding", coding))
    draft.body = packed


INTACT: list[Callable[[Random, Draft], None]] = [
    *[odd_value] * 5,
    *[another_shape] * 2,
    *[another_number] * 2,
    *[leave_out, rename, twice, transplant] * 2,
    whole_body,
    *[flip] * 3,
    *[cut] * 2,
    *[insert] * 2,
    noise,
    path,
    method,
    *[field] * 2,
    double_field,
    lying_fields,
    squeeze,
]


def truncate(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data))]


def flip_all(random: Random, data: bytes) -> bytes:
    return flipped(random, data)


def flip_head(random: Random, data: bytes) -> bytes:
    head, gap, body = data.partition(b"\r\n\r\n")
    return flipped(random, head + gap) + body


def random_bytes(random: Random, data: bytes) -> bytes:
    return random.randbytes(random.choice([1, 16, 100, 2000])) + random.choice([b"", b"\r\n\r\n", data])


def length(random: Random, data: bytes) -> bytes:
    """Lie about the length of the body, or say it in a way that others would read otherwise."""
    sizes = [
        b"0",
        b"1",
        b"-1",
        b"+5",
        b"5 ",
        b"0x10",
        b"1e2",
        b"9" * 30,
        b"99999999999",
        b"5, 5",
        b"5,6",
        b"\xb2",
        b"",
        b"20000",
    ]
    return data.replace(b"Content-Length: ", b"Content-Length: %b\r\nX-Old: " % random.choice(sizes), 1)


def more_fields(random: Random, data: bytes) -> bytes:
    """Put into the head what changes how it is read."""
    extra = random.choice(
        [
            b"Content-Length: 3\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"transfer-encoding : chunked\r\n",
            b"Host: other\r\n",
            b"Host:\r\n",
            b" folded: 1\r\n",
            b"bad name: 1\r\n",
            b"x: \0\r\n",
            b"no colon\r\n",
            b"Expect: 100-continue\r\n",
            b"Expect: the worst\r\n",
            b"Connection: close\r\n",
            b"Connection: upgrade\r\nUpgrade: h2c\r\n",
            b"Content-Encoding: gzip\r\n",
            b"Content-Encoding: br\r\n",
            b"Content-Encoding: zstd\r\n",
            b"x: " + b"y" * 40_000 + b"\r\n",
            b"x: y\r\n" * 150,
            b"x: y\n",
            b"\r\n",
        ]
    )
    at = data.index(b"\r\n") + 2
    return data[:at] + extra + data[at:]


def first_line(random: Random, data: bytes) -> bytes:
    line = random.choice(
        [
            b"GET /\r\n",
            b"POST /predict HTTP/1.0\r\n",
            b"POST /predict HTTP/2.0\r\n",
            b"POST /predict HTTP/0.9\r\n",
            b"PRI * HTTP/2.0\r\n",
            b"CONNECT x:80 HTTP/1.1\r\n",
            b"OPTIONS * HTTP/1.1\r\n",
            b"GET * HTTP/1.1\r\n",
            b"GET http://other/predict HTTP/1.1\r\n",
            b"GET predict HTTP/1.1\r\n",
            b"post /predict HTTP/1.1\r\n",
            b"POST  /predict HTTP/1.1\r\n",
            b"POST /predict HTTP/1.1\n",
            b"POST /%b HTTP/1.1\r\n" % (b"a" * 40_000),
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n",
            b"\r\n" * 50,
            b"GET /\xff\xfe\x01 HTTP/1.1\r\n",
        ]
    )
    return line + data.partition(b"\r\n")[2]


def chunks(random: Random, data: bytes) -> bytes:
    """Send the body in chunks, well or badly."""
    head, _, body = data.partition(b"\r\n\r\n")
    head = head.replace(b"Content-Length", b"X-Length")
    size = random.choice(
        [b"%x" % len(body), b"0", b"-1", b"f" * 20, b"zz", b"%x;a=b" % len(body), b"%x " % len(body), b""]
    )
    end = random.choice([b"\r\n0\r\n\r\n", b"\r\n0\r\nTrailer: x\r\n\r\n", b"0\r\n\r\n", b"\r\n", b""])
    return b"%b\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n%b%b" % (head, size, body, end)


def bomb(random: Random, data: bytes) -> bytes:
    """Say that the body is compressed, be it or not, and let it grow."""
    head, _, body = data.partition(b"\r\n\r\n")
    packed = random.choice(
        [zlib.compress(bytes(2**20)), zlib.compress(body), gzip.compress(body)[:-3], body, b"\x1f\x8b"]
    )
    head = head.replace(b"Content-Length", b"X-Length")
    return b"%b\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        head,
        random.choice([b"gzip", b"deflate", b"zstd", b"identity"]),
        len(packed),
        packed,
    )


BREAKING: list[Callable[[Random, bytes], bytes]] = [
    *[truncate] * 3,
    *[flip_head] * 3,
    flip_all,
    random_bytes,
    *[length] * 2,
    *[more_fields] * 2,
    first_line,
    *[chunks] * 2,
    bomb,
]
