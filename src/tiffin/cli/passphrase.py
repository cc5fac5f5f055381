"""The passphrase of a private key: out of the environment, else asked for without showing it."""

from __future__ import annotations

import os
import sys

import click


def ask(key: str) -> bytes:
    """Return the passphrase of a key that has one; raises DeniedError where nobody is there to be asked."""
    return _given() or _asked(f"Passphrase of {key}").encode()


def ask_for_new() -> bytes:
    """Return the passphrase for a new key; empty for none, as where nobody is there to be asked."""
    from tiffin.api.images.trust import PASSPHRASE

    if PASSPHRASE in os.environ or not sys.stdin.isatty():
        return _given()
    said: str = click.prompt(
        "Passphrase (empty for none)",
        hide_input=True,
        confirmation_prompt="Once more",
        default="",
        show_default=False,
        err=True,
    )
    return said.encode()


def _given() -> bytes:
    from tiffin.api.images.trust import PASSPHRASE

    return os.environ.get(PASSPHRASE, "").encode()


def _asked(text: str) -> str:
    from tiffin.api.images.trust import PASSPHRASE
    from tiffin.errors import DeniedError

    if not sys.stdin.isatty():
        raise DeniedError(f"{text}: nobody is there to be asked", f"give it in the variable {PASSPHRASE}")
    said: str = click.prompt(text, hide_input=True, err=True)
    return said
