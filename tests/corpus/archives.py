"""Images in one file or folder that are hostile: archives of docker and podman, and OCI layouts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from corpus.case import Case, made
from corpus.tars import END, file, header, symlink
from tiffin.oci.digest import Digest
from tiffin.oci.documents import CONFIG, INDEX, LAYER, MANIFEST

ARCHIVE, LAYOUT = "image.tar", "layout"
NAME = {"org.opencontainers.image.ref.name": "x"}
LAYER_BYTES = file(b"f") + END
CONFIG_BYTES = json.dumps(
    {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(LAYER_BYTES))]}}
).encode()


def described(data: bytes, media_type: str, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data), **more}


def manifest(**more: object) -> bytes:
    told = {"config": described(CONFIG_BYTES, CONFIG), "layers": [described(LAYER_BYTES, LAYER)], **more}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **told}).encode()


def index(*children: Mapping[str, object]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()


def layout(top: Mapping[str, object], *blobs: bytes, **more: bytes) -> dict[str, bytes]:
    """The files of a layout whose index names `top`."""
    files = {f"blobs/sha256/{Digest.of(blob).hex}": blob for blob in (CONFIG_BYTES, LAYER_BYTES, *blobs)}
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": index({**top, "annotations": NAME}),
        **files,
        **more,
    }


def tar(files: Mapping[str, bytes]) -> bytes:
    return b"".join(file(name.encode(), data) for name, data in files.items()) + END


def saved(config: str = "c.json", layers: tuple[str, ...] = ("l.tar",), **files: bytes) -> bytes:
    """What `docker save` would write."""
    told = json.dumps([{"Config": config, "RepoTags": ["x:1"], "Layers": layers}]).encode()
    return tar({"manifest.json": told, "c.json": CONFIG_BYTES, "l.tar": LAYER_BYTES, **files})


def cases() -> Iterator[Case]:
    """Every hostile image."""
    yield from _tars()
    yield from _docker()
    yield from _layouts()


def _archive(name: str, data: bytes, *says: str) -> Case:
    return Case(name, "archive", ARCHIVE, made(data), says)


def _tars() -> Iterator[Case]:
    whole = layout(described(manifest(), MANIFEST), manifest())
    yield _archive("an honest image", tar(whole))
    yield _archive("no image", tar({"x": b"1"}), ARCHIVE, "neither")
    yield _archive("no tar", b"\x7fELF" * 500, "image.tar")
    yield _archive("nothing", b"", ARCHIVE, "neither")
    yield _archive("a blob with other bytes", tar(whole).replace(b"data", b"evil", 1), "expected sha256")
    yield _archive("an index.json that leads outside", symlink(b"index.json", b"/etc/passwd") + END, "neither")
    yield _archive("an index.json that is itself", symlink(b"index.json", b"index.json") + END, "neither")
    yield _archive("an index.json of a terabyte", header(b"index.json", 1 << 40) + END, "image.tar")
    yield _archive("a device", header(b"index.json", kind=b"3") + END, "image.tar", "device")
    yield _archive("an index.json of five megabytes", tar({"index.json": b" " * (5 << 20)}), "index.json has")
    yield _archive("a path that leads outside", tar({"../../outside/precious": b"evil", **whole}))
    yield _archive(
        "two hundred thousand members", b"".join(header(b"%d" % n) for n in range(100_100)) + END, "more than"
    )


def _docker() -> Iterator[Case]:
    yield _archive("an honest image of docker", saved())
    yield _archive("CVE-2019-14271: a config elsewhere", saved(config="../../etc/passwd"), "has no ../../etc/passwd")
    yield _archive("a layer elsewhere", saved(layers=("/etc/passwd",)), "has no /etc/passwd")
    yield _archive("a layer more than told", saved(layers=("l.tar", "l.tar")), "another number of layers")
    yield _archive("a layer of other bytes", saved(**{"l.tar": b"evil"}), "expected sha256")
    yield _archive("a manifest of numbers", tar({"manifest.json": b"[1,2]"}), ARCHIVE, "manifest.json")
    yield _archive("a manifest nested a hundred thousand deep", tar({"manifest.json": b"[" * 100_000}), "manifest.json")
    yield _archive("a manifest in UTF-16", tar({"manifest.json": "[]".encode("utf-16")}), "manifest.json")
    yield _archive("a manifest of no image", tar({"manifest.json": b"[]"}), "not one image")
    bad = b'[{"Config":"c.json","RepoTags":["../../x:1"],"Layers":["l.tar"]}]'
    yield _archive("a name that is a path", saved(**{"manifest.json": bad}), "../../x")


def _layout(name: str, files: Mapping[str, bytes], *says: str) -> Case:
    return Case(name, "layout", LAYOUT, made(files), says)


def _layouts() -> Iterator[Case]:
    one = manifest()
    yield _layout("an honest layout", layout(described(one, MANIFEST), one))
    for name, change, says in [
        ("a digest that is a path", {"digest": "sha256:../../../etc/passwd"}, "not a digest"),
        ("a digest that is too short", {"digest": "sha256:abc"}, "not a digest"),
        ("a digest that is a number", {"digest": 7}, "not a digest"),
        ("a digest that is a list", {"digest": []}, "not a digest"),
        ("a digest in capitals", {"digest": str(Digest.of(one)).upper()}, "not a digest"),
        ("a digest of an unknown kind", {"digest": "md5:" + "0" * 32}, "not a digest"),
        ("a digest with a line feed", {"digest": str(Digest.of(one)) + "\n"}, "not a digest"),
        ("a negative size", {"size": -1}, "index.json"),
        ("a size of 2^64", {"size": 1 << 64}, "index.json"),
        ("a size that is a text", {"size": "1"}, "index.json"),
        ("a size that is too large", {"size": 1 << 40}, "at most"),
        ("a size that is too small", {"size": 3}, "sha256:"),
    ]:
        yield _layout(f"a manifest with {name}", layout({**described(one, MANIFEST), **change}, one), says)
    yield from _documents()


def _documents() -> Iterator[Case]:
    for name, bad, says in [
        (
            "a config elsewhere",
            manifest(config={**described(CONFIG_BYTES, CONFIG), "digest": "sha256:../x"}),
            "not a digest",
        ),
        ("no config", b'{"layers":[]}', "not a valid Manifest"),
        ("a config of a negative size", manifest(config={**described(CONFIG_BYTES, CONFIG), "size": -5}), "Manifest"),
        ("a layer of another size", manifest(layers=[{**described(LAYER_BYTES, LAYER), "size": 7}]), "expected sha256"),
        ("layers nested without end", b'{"layers":' + b"[" * 200_000, "Manifest"),
        ("a field nested without end", b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b',"layers":[]}', "Manifest"),
        ("noise", b"\xff\xfe" * 50, "Manifest"),
        ("a million annotations", manifest(annotations={str(n): "" for n in range(200_000)}), ""),
    ]:
        yield _layout(f"a manifest with {name}", layout(described(bad, MANIFEST), bad), *([says] if says else []))
    yield _layout("a blob that is missing", layout(described(b"gone", MANIFEST)), "has no blob")
    yield _layout("an index that is no JSON", {"index.json": b"{"}, "index.json")
    yield _layout("an index nested without end", {"index.json": b'{"x":' + b"[" * 200_000}, "index.json")
    yield _layout("indexes within indexes", _nested(50, 1), "lies below")
    yield _layout("indexes that each name the next one twice", _nested(40, 2), "lies below")


def _nested(depth: int, width: int) -> dict[str, bytes]:
    blobs, top, media_type = [manifest()], manifest(), MANIFEST
    for _ in range(depth):
        children = [described(top, media_type, annotations={"n": str(n)}) for n in range(width)]
        top, media_type = index(*children), INDEX
        blobs.append(top)
    return layout(described(top, INDEX), *blobs)
