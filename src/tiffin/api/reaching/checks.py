"""Ask a service every `[[check]]` that its image carries, as anybody would ask it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from tiffin.api.images.sbom import document
from tiffin.build.carried import PROJECT, read_project_text
from tiffin.build.plan import SERVICE
from tiffin.errors import NotFoundError, TiffinError
from tiffin.oci.image import Image
from tiffin.oci.store import Store
from tiffin.release.answers import difference, is_tensors
from tiffin.release.result import Case
from tiffin.traffic.address import read_address
from tiffin.traffic.service import PREDICT, Service, failed, words


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A request of an image's own, and the answer that is expected; None where any answer but an error will do.

    It is called by the file of its request, as the project has it.
    """

    name: str
    path: str
    body: bytes
    expected: Any
    tolerance: float


def checks_of(store: Store, image: Image, name: str) -> list[Check]:
    """Read the checks that an image carries; one that is not tiffin's has none."""
    try:
        said = msgspec.json.decode(document(store, image, SERVICE, name), type=dict[str, Any])
    except NotFoundError:
        return []
    checks = [_check(store, image, name, one, said["name"]) for one in said.get("checks", [])]
    names = _names(store, image, name) if checks else ()
    if len(names) != len(checks):
        return checks
    return [msgspec.structs.replace(check, name=own) for check, own in zip(checks, names, strict=True)]


def _names(store: Store, image: Image, name: str) -> tuple[str, ...]:
    """What the project calls its checks; nothing where the image carries none that this tiffin can read."""
    try:
        project = read_project_text(document(store, image, PROJECT, name), f"{name}: /{PROJECT}")
    except TiffinError:
        return ()
    asked = [check.request for check in project.check]
    return tuple(
        check.request if asked.count(check.request) == 1 else f"{check.request}, {check.expect or 'any answer'}"
        for check in project.check
    )


def _check(store: Store, image: Image, name: str, said: Mapping[str, Any], model: str) -> Check:
    body = document(store, image, said["request"].lstrip("/"), name).encode()
    expect = said.get("expect", "")
    expected = msgspec.json.decode(document(store, image, expect.lstrip("/"), name)) if expect else None
    path = f"/v2/models/{model}/infer" if is_tensors(msgspec.json.decode(body)) else PREDICT
    label = said["request"].removeprefix("/opt/tiffin/").removesuffix("/request.json")
    return Check(name=label, path=path, body=body, expected=expected, tolerance=said.get("tolerance", 1e-5))


def ask(address: str, checks: list[Check], headers: Mapping[str, str] | None = None) -> tuple[Case, ...]:
    """Ask a service every check, and say of each what was wrong with its answer."""
    service = Service(read_address(address), headers=headers)
    return tuple(_asked(service, check) for check in checks)


def _asked(service: Service, check: Check) -> Case:
    began = time.perf_counter()
    try:
        answer = service.ask("POST", check.path, check.body)
        wrong = f"it answered {answer.status}: {words(answer)}" if failed(answer) else _compared(check, answer.body)
    except TiffinError as error:
        wrong = error.message
    return Case(name=check.name, seconds=round(time.perf_counter() - began, 3), wrong=wrong)


def _compared(check: Check, body: bytes) -> str:
    if check.expected is None:
        return ""
    try:
        got = msgspec.json.decode(body)
    except msgspec.MsgspecError as error:
        return f"the answer is no JSON: {error}"
    return difference(check.expected, got, check.tolerance)


def told(cases: tuple[Case, ...]) -> str:
    """What went wrong, one line a check; empty where nothing did."""
    return "; ".join(f"{case.name}: {case.wrong}" for case in cases if case.wrong)
