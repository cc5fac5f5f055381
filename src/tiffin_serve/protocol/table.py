"""Predictions as a table of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from tiffin_serve.protocol.errors import RequestError
from tiffin_serve.protocol.outputs import Output, as_json
from tiffin_serve.protocol.signature import Signature

NOT_ACCEPTABLE = 406


def write_csv(outputs: Sequence[Output], signature: Signature) -> bytes:
    """Write a line of names and a line a row; an output with several columns has its name before each of theirs.

    Raises RequestError where an output is no table.
    """
    rows = {output.shape[:1] for output in outputs}
    if len(rows) != 1 or any(len(output.shape) not in {1, 2} for output in outputs):
        raise RequestError("these outputs make no table of rows; accept application/json", NOT_ACCEPTABLE)
    header, columns = [], []
    for output in outputs:
        width = 1 if len(output.shape) == 1 else output.shape[1]
        data = as_json(output).data
        header += _names(output, width, signature)
        columns += [data[position::width] for position in range(width)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def _names(output: Output, width: int, signature: Signature) -> list[str]:
    if width == 1:
        return [output.name]
    labels = signature.classes if output.name == signature.probability else ()
    return [f"{output.name}_{label}" for label in (labels if len(labels) == width else range(width))]
