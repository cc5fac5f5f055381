from __future__ import annotations

import pytest

from tiffin.errors import UnsupportedError
from tiffin.layers.debian_scripts import Alternative, read_scripts, reviews

HARMLESS = """\
#! /bin/sh
# postinst script
set -e

case "$1" in
    configure|triggered)
        update-alternatives --quiet --install /usr/bin/editor editor \\
            /usr/bin/nano 40 \\
            --slave /usr/share/man/man1/editor.1.gz editor.1.gz /usr/share/man/man1/nano.1.gz || true
    ;;

    abort-upgrade|abort-remove|abort-deconfigure)
    ;;

    *)
        echo "postinst called with unknown argument \\`$1'" >&2
        exit 1
    ;;
esac

# Automatically added by dh_makeshlibs/13.11.4
if [ "$1" = "configure" ]; then
	ldconfig
fi
# End automatically added section
# Automatically added by dh_installsystemd/13.11.4
if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ]; then
	deb-systemd-helper unmask 'x.service' >/dev/null || true
fi
# End automatically added section

if [ "$1" = "configure" ] && [ -z "$2" ]; then
    update-alternatives --remove old /usr/bin/old
fi
exit 0
"""


def read(postinst: str, package: str = "hello") -> list[Alternative]:
    return read_scripts(package, {"postinst": postinst}, reviews())[0]


def test_alternatives_are_understood_with_their_followers() -> None:
    assert read(HARMLESS) == [
        Alternative(link="usr/bin/editor", name="editor", path="usr/bin/nano", priority=40),
        Alternative(
            link="usr/share/man/man1/editor.1.gz",
            name="editor.1.gz",
            path="usr/share/man/man1/nano.1.gz",
            priority=40,
        ),
    ]


def test_no_script_is_no_work() -> None:
    assert read_scripts("hello", {}, reviews()) == ([], {})


@pytest.mark.parametrize(
    "command",
    [
        "useradd --system hello",
        "chmod 4755 /usr/bin/hello",
        "mkdir -p /var/lib/hello",
        ": > /etc/hello",
        "set -e; useradd x",
        "exit 0; useradd x",
        'if [ "$1" = "configure" ]; then useradd x; fi',
        'if [ "$1" = "configure" ] && useradd x; then',
        'if [ "$1" = "$(useradd x)" ]; then',
        'echo "unknown argument $(useradd x)" >&2',
        'echo "unknown argument" | sh',
        'echo "unknown argument `useradd x`" >&2',
        'echo "unknown argument" >&2; useradd x',
        "echo 'unknown argument' 'a'; useradd 'x'",
        "update-alternatives --remove a /usr/bin/a; useradd x",
        "configure) useradd x ;;",
        "ldconfig && useradd x",
        "update-alternatives --install /usr/bin/a a $x 10",
        "update-alternatives --install /usr/bin/a a /usr/bin/`b` 10",
        "update-alternatives --install /usr/bin/a a /usr/bin/b 10 && useradd x",
        "update-alternatives --install /usr/bin/a a /usr/bin/b",
        "update-alternatives --install /usr/bin/a a /usr/bin/b ten",
        "update-alternatives --install /usr/bin/a a '/usr/bin/b 10",
        "# Automatically added by dh_sysuser/1\nuseradd x\n# End automatically added section",
        "# Automatically added by dh_makeshlibs/1\nuseradd x",
    ],
)
def test_a_script_that_does_more_is_refused_with_the_packages_name(command: str) -> None:
    with pytest.raises(UnsupportedError, match="the package hello has a postinst script") as caught:
        read(f"#!/bin/sh\nset -e\n{command}\n")
    assert "leave hello out" in str(caught.value.hint)


def test_a_diversion_is_refused_unless_it_guards_the_merged_usr() -> None:
    guard = 'dpkg-divert --no-rename --divert "/lib/x.usr-is-merged" --add "/lib/x"\n'
    assert read_scripts("hello", {"preinst": guard}, reviews()) == ([], {})
    with pytest.raises(UnsupportedError, match="preinst"):
        read_scripts("hello", {"preinst": "dpkg-divert --add --rename /usr/bin/x\n"}, reviews())


def test_a_reviewed_script_is_passed_over_but_its_alternatives_count() -> None:
    script = f"useradd x\n{HARMLESS}\nupdate-alternatives --install /usr/bin/a a $x 10\n"
    assert len(read(script, "tzdata")) == 2


def test_a_review_may_give_links() -> None:
    assert read_scripts("bash", {}, reviews()) == ([], {"usr/bin/sh": "bash"})


def test_every_review_says_what_the_script_does_and_why_it_is_not_needed() -> None:
    known = reviews()
    assert all(review.does and review.why and review.packages for review in known.reviewed)
    assert all(known.sections.values())
    assert known.of("python3.11-minimal")
    assert known.of("hello") is None
