from __future__ import annotations

import pytest

from tiffin.build.proof import Subject, Verdict, judge
from tiffin.build.refusal import notes, refusal
from tiffin.layers.elf import X86_64, Elf, Wanted
from tiffin.layers.libraries import ElfFile, Libraries
from tiffin.oci.digest import Digest
from tiffin.oci.platform import Platform
from tiffin.packages.debian.sonames import guess, package_of
from tiffin.packages.pins import WheelPin

LIBC = "usr/lib/x86_64-linux-gnu/libc.so.6"
SITE = "opt/venv/lib/site-packages"


def module(path: str, *needed: str, owner: str = "demo", glibc: str = "") -> ElfFile:
    wanted = (Wanted("libc.so.6", f"GLIBC_{glibc}"),) if glibc else ()
    elf = Elf(machine=X86_64, needed=(*needed, "libc.so.6"), wanted=wanted, module=True)
    return ElfFile(path=f"{SITE}/{path}", owner=owner, elf=elf)


def library(path: str, *needed: str, owner: str = "demo") -> ElfFile:
    return ElfFile(path=f"{SITE}/{path}", owner=owner, elf=Elf(machine=X86_64, needed=needed))


def judged(*files: ElfFile, wheels: tuple[str, ...] = ()) -> Verdict:
    """Judge files of wheels on a base with glibc 2.36 and nothing else."""
    libc = Elf(machine=X86_64, soname="libc.so.6", brings=("GLIBC_2.2.5", "GLIBC_2.36", "GLIBC_PRIVATE"))
    pins = tuple(
        WheelPin(name=name.split("-")[0], version="1", filename=name, sha256=Digest.of(name.encode()), size=1)
        for name in wheels
    )
    return judge(
        Subject(
            python="3.11",
            platform=Platform(os="linux", architecture="amd64"),
            wheels=pins,
            layers=(Libraries(files=(ElfFile(path=LIBC, elf=libc),)), Libraries(files=files)),
            own=(False, True),
        )
    )


def lacking(verdict: Verdict) -> list[str]:
    return sorted({found.fault.version or found.fault.library for found in verdict.fatal})


def test_a_wheel_that_is_one_library_cannot_do_without_what_it_needs() -> None:
    verdict = judged(library("lightgbm/lib/lib_lightgbm.so", "libgomp.so.1", owner="lightgbm"))
    error = refusal(verdict, "bookworm")
    assert error
    assert "lightgbm needs libgomp.so.1, which is not in the image (lightgbm/lib/lib_lightgbm.so)" in error.message
    assert 'add `packages = ["libgomp1"]` to `[image]`' in (error.hint or "")


def test_a_plugin_of_a_wheel_may_lack_what_it_likes() -> None:
    verdict = judged(library("ai/libai.so"), library("ai/libai_cuda.so", "libcublas.so.12"))
    assert verdict.fatal == ()
    assert notes(verdict) == ["demo: ai/libai_cuda.so would not load: libcublas.so.12; the rest of it does without"]


def test_what_most_modules_of_a_package_lack_is_fatal() -> None:
    verdict = judged(module("a/x.abi3.so", "libfoo.so.2"), module("a/y.abi3.so", "libfoo.so.2"), module("a/z.abi3.so"))
    assert lacking(verdict) == ["libfoo.so.2"]
    error = refusal(verdict, "bookworm")
    assert error
    assert "Debian would call libfoo2" in (error.hint or "")
    assert 'allow-missing = ["libfoo.so.2"]' in (error.hint or "")


def test_what_one_module_of_many_lacks_is_noted() -> None:
    verdict = judged(module("a/pool.abi3.so", "libtbb.so.12"), *(module(f"a/{name}.abi3.so") for name in "bcd"))
    assert (lacking(verdict), len(verdict.noted)) == ([], 1)


def test_what_any_wheel_may_expect_of_a_system_is_fatal_even_for_one_module() -> None:
    verdict = judged(module("a/window.abi3.so", "libGL.so.1"), *(module(f"a/{name}.abi3.so") for name in "bcd"))
    assert lacking(verdict) == ["libGL.so.1"]


def test_one_of_several_builds_of_a_module_may_fail() -> None:
    verdict = judged(module("a/_ffmpeg4.so", "libavcodec.so.58"), module("a/_ffmpeg5.so", "libavcodec.so.59"))
    assert lacking(verdict) == []


@pytest.mark.parametrize("name", ["x.cpython-310-x86_64-linux-gnu.so", "x.cpython-311-aarch64-linux-gnu.so"])
def test_modules_of_other_interpreters_are_not_imported(name: str) -> None:
    assert lacking(judged(module(f"a/{name}", "libgone.so"), module("a/y.abi3.so"))) == []


def test_tests_may_lack_what_they_like() -> None:
    assert lacking(judged(module("a/tests/x.abi3.so", "libgone.so"))) == []


def test_a_newer_glibc_than_the_images_is_refused_by_symbol_and_by_tag() -> None:
    verdict = judged(
        module("a/x.cpython-311-x86_64-linux-gnu.so", glibc="2.38"),
        wheels=("a-1-cp311-cp311-manylinux_2_39_x86_64.whl", "b-1-py3-none-any.whl"),
    )
    assert lacking(verdict) == ["GLIBC_2.38"]
    assert verdict.misfits == ("a-1-cp311-cp311-manylinux_2_39_x86_64.whl",)
    error = refusal(verdict, "bookworm")
    assert error
    assert "manylinux_2_39_x86_64.whl is for another Python, glibc or machine" in error.message
    assert "demo needs GLIBC_2.38 of libc.so.6" in error.message
    assert "glibc 2.36" in (error.hint or "")


@pytest.mark.parametrize(
    "name",
    [
        "a-1-cp310-cp310-manylinux_2_17_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_17_aarch64.whl",
        "a-1-cp311-cp311-musllinux_1_1_x86_64.whl",
        "a-1-cp311-cp311-macosx_11_0_arm64.whl",
        "no wheel",
    ],
)
def test_a_wheel_for_something_else_is_refused(name: str) -> None:
    assert judged(wheels=(name,)).misfits == (name,)


def test_what_is_allowed_is_said_and_not_refused() -> None:
    verdict = judged(library("x/lib_x.so", "libgomp.so.1"))
    assert refusal(verdict, "bookworm", ["libgomp.so.1"]) is None
    assert notes(verdict, ["libgomp.so.1"]) == [
        "demo: x/lib_x.so would not load: libgomp.so.1; the rest of it does without"
    ]


def test_a_wheel_that_shows_windows_is_offered_the_one_that_does_not() -> None:
    error = refusal(judged(module("cv2/cv2.abi3.so", "libGL.so.1", owner="opencv-python")), "trixie")
    assert error
    assert 'packages = ["libgl1"]' in (error.hint or "")
    assert "opencv-python-headless" in (error.hint or "")


def test_many_reasons_are_told_by_their_number() -> None:
    error = refusal(judged(*(library(f"x/lib{n}.so", f"libgone{n}.so.1") for n in range(20))), "bookworm")
    assert error
    assert "and 12 more" in error.message


def test_the_package_of_a_library_depends_on_the_suite() -> None:
    assert package_of("libglib-2.0.so.0", "bookworm") == "libglib2.0-0"
    assert package_of("libglib-2.0.so.0", "trixie") == "libglib2.0-0t64"
    assert package_of("libgomp.so.1", "bookworm") == package_of("libgomp.so.1", "") == "libgomp1"
    assert package_of("libunheard.so.9", "trixie") == ""


@pytest.mark.parametrize(
    ("library", "package"),
    [("libtbb.so.12", "libtbb12"), ("libpcre2-8.so.0", "libpcre2-8-0"), ("libFLAC.so.12", "libflac12"), ("odd.so", "")],
)
def test_debians_rule_names_the_package_of_an_unknown_library(library: str, package: str) -> None:
    assert guess(library) == package
