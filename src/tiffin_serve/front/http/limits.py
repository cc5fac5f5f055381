"""What one connection may take."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of head and body, seconds of patience, requests read ahead; each is what one connection may take.

    `least_rate` is in bytes a second, and holds for a body that comes and for an answer that goes. `framing_bytes` is
    what chunk sizes, extensions and trailers may come to, beside sixteen times the body's own bytes. `unsent_bytes` is
    what may wait of an answer in parts whose sender does not pause.
    """

    head_bytes: int = 32_768
    head_fields: int = 100
    body_bytes: int = 67_108_864
    framing_bytes: int = 16_384
    unsent_bytes: int = 16_777_216
    first_byte_seconds: float = 30
    header_seconds: float = 10
    write_seconds: float = 30
    idle_seconds: float = 75
    least_rate: int = 500
    pipelined: int = 64

    @staticmethod
    def of(body_bytes: int, header_seconds: float) -> Limits:
        """Give the limits of a server that says how large a body and how slow a head may be."""
        patient = 3 * header_seconds
        return Limits(
            body_bytes=body_bytes,
            header_seconds=header_seconds,
            first_byte_seconds=patient,
            write_seconds=patient,
        )
