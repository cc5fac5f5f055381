"""What a worker says its outputs are, held against their bytes."""

from __future__ import annotations

import pytest

from tiffin_serve.protocol.frames import FrameError, Result, ResultTensor
from tiffin_serve.protocol.outputs import read_outputs


@pytest.mark.parametrize("shape", [(-1, -2), (-2, 1, -1), (-1, 0), (0, -1)])
def test_a_shape_with_negative_sizes_is_refused(shape: tuple[int, ...]) -> None:
    result = Result(id=1, outputs=(ResultTensor("y", "FP64", shape, 16 if 0 not in shape else 0),))
    with pytest.raises(FrameError, match="values for the shape"):
        read_outputs(result, memoryview(bytes(16)))
