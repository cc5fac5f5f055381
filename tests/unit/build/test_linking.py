from __future__ import annotations

from tiffin.build.linking import Fault, Linker
from tiffin.layers.elf import AARCH64, X86_64, Elf, Wanted
from tiffin.layers.libraries import ElfFile, Libraries
from tiffin.oci.platform import Platform

AMD64 = Platform(os="linux", architecture="amd64")
LIB = "usr/lib/x86_64-linux-gnu"
SITE = "opt/venv/lib/site-packages"


def library(
    path: str, *needed: str, runpath: str = "", rpath: str = "", owner: str = "", machine: int = X86_64, **more: object
) -> ElfFile:
    """An ELF file that calls itself by its own name."""
    elf = Elf(
        machine=machine,
        soname=path.rpartition("/")[2],
        needed=needed,
        runpath=tuple(filter(None, runpath.split(":"))),
        rpath=tuple(filter(None, rpath.split(":"))),
        **more,  # type: ignore[arg-type]  # the fields of an Elf
    )
    return ElfFile(path=path, owner=owner, elf=elf)


def linker(*files: ElfFile, links: dict[str, str] | None = None, search: tuple[str, ...] = ()) -> Linker:
    return Linker([Libraries(files=files, links={"lib": "usr/lib"} | (links or {}))], AMD64, search)


def faults(image: Linker, path: str) -> list[tuple[str, str]]:
    return [(fault.library, fault.version) for fault in image.load(path).faults]


def test_the_systems_folders_are_searched_through_links() -> None:
    image = linker(
        library(f"{LIB}/liba.so.1.2", "libc.so.6"),
        library(f"{LIB}/libc.so.6"),
        library("app/x.so", "liba.so.1"),
        links={f"{LIB}/liba.so.1": "/etc/alternatives/a", "etc/alternatives/a": f"../../{LIB}/liba.so.1.2"},
    )
    assert faults(image, "app/x.so") == []
    assert faults(image, f"{LIB}/liba.so.1.2") == []


def test_a_library_that_is_nowhere_is_a_fault_of_whoever_needs_it() -> None:
    image = linker(library("app/x.so", "liba.so.1"), library(f"{LIB}/liba.so.1", "libgone.so.1"))
    assert image.load("app/x.so").faults == (Fault(f"{LIB}/liba.so.1", "libgone.so.1"),)


def test_origin_is_the_folder_of_the_file_that_says_so() -> None:
    image = linker(
        library(f"{SITE}/np/core/x.so", "liba.so", runpath="$ORIGIN/../../np.libs"),
        library(f"{SITE}/np.libs/liba.so", "libb.so", runpath="${ORIGIN}"),
        library(f"{SITE}/np.libs/libb.so"),
    )
    assert faults(image, f"{SITE}/np/core/x.so") == []


def test_an_rpath_holds_for_what_it_loads_and_a_runpath_does_not() -> None:
    files = library("app/a/liba.so", "libb.so"), library("app/a/libb.so")
    assert faults(linker(library("app/x.so", "liba.so", rpath="$ORIGIN/a"), *files), "app/x.so") == []
    assert faults(linker(library("app/x.so", "liba.so", runpath="$ORIGIN/a"), *files), "app/x.so") == [("libb.so", "")]


def test_the_images_own_search_path_is_followed() -> None:
    image = linker(library("app/x.so", "liba.so"), library("usr/local/cuda/liba.so"), search=("/usr/local/cuda",))
    assert faults(image, "app/x.so") == []


def test_files_for_another_machine_are_passed_over() -> None:
    image = linker(library("app/x.so", "liba.so"), library(f"{LIB}/liba.so", machine=AARCH64))
    assert faults(image, "app/x.so") == [("liba.so", "")]


def test_a_version_must_be_in_the_library_unless_it_has_none_at_all() -> None:
    wanted = (Wanted("libc.so.6", "GLIBC_2.38"), Wanted("libn.so", "N_1"))
    image = linker(
        library("app/x.so", "libc.so.6", "libn.so", wanted=wanted),
        library(f"{LIB}/libc.so.6", brings=("GLIBC_2.36",)),
        library(f"{LIB}/libn.so"),
    )
    assert faults(image, "app/x.so") == [("libc.so.6", "GLIBC_2.38")]


def test_the_drivers_libraries_come_from_the_host() -> None:
    image = linker(library("app/x.so", "libcuda.so.1", "libnvidia-ml.so.1"))
    found = image.load("app/x.so")
    assert found.faults == ()
    assert found.driver


def test_a_library_of_another_wheel_is_found_once_that_one_loads_it() -> None:
    image = linker(
        library(f"{SITE}/torch/x.so", "libcublas.so.12", owner="torch"),
        library(f"{SITE}/nvidia/cublas/lib/libcublas.so.12", owner="nvidia-cublas-cu12"),
    )
    found = image.load(f"{SITE}/torch/x.so")
    assert (found.faults, found.elsewhere) == ((), (Fault(f"{SITE}/torch/x.so", "libcublas.so.12"),))


def test_what_the_same_module_loads_by_another_way_is_found() -> None:
    image = linker(
        library(f"{SITE}/sp/x.so", "liba.so", "libq.so", runpath="$ORIGIN/../sp.libs"),
        library(f"{SITE}/sp.libs/liba.so", "libq.so", owner="sp"),
        library(f"{SITE}/sp.libs/libq.so", owner="sp"),
    )
    assert image.load(f"{SITE}/sp/x.so").elsewhere == ()


def test_upper_layers_replace_and_delete() -> None:
    below = Libraries(files=(library(f"{LIB}/liba.so"), library(f"{LIB}/libb.so")), links={"lib": "usr/lib"})
    above = Libraries(files=(library("app/x.so", "liba.so", "libb.so"),), gone=(f"{LIB}/liba.so",))
    assert faults(Linker([below, above], AMD64), "app/x.so") == [("liba.so", "")]


def test_links_in_a_circle_end() -> None:
    image = linker(library("app/x.so", "liba.so"), links={f"{LIB}/liba.so": "liba.so", "usr/lib64": "lib64"})
    assert faults(image, "app/x.so") == [("liba.so", "")]


def test_libraries_that_need_one_another_end() -> None:
    image = linker(library(f"{LIB}/liba.so", "libb.so"), library(f"{LIB}/libb.so", "liba.so", "libgone.so"))
    assert faults(image, f"{LIB}/liba.so") == [("libgone.so", "")]
