"""What a TensorFlow SavedModel would do when it is called: operations that touch files or run Python.

saved_model.proto, meta_graph.proto, graph.proto, function.proto. TensorFlow has 1,400 operations and no list of the
harmless ones ("TensorFlow models are programs", SECURITY.md), so this is a list of what is not; the container holds the
rest. What saves and restores variables names its files by an argument, and is in every SavedModel.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tiffin.errors import IntegrityError
from tiffin.models.pickle_machine import Use
from tiffin.models.protobuf import Walk

_TABLE = {
    "saved": {2: "meta"},
    "meta": {2: "graph"},
    "graph": {1: "node", 2: "library"},
    "library": {1: "function"},
    "function": {3: "node"},
    "node": {},
}
_OPERATION = 2
_REFUSED = frozenset(
    {
        *("PyFunc", "PyFuncStateless", "EagerPyFunc", "LoadLibrary"),
        *("ReadFile", "WriteFile", "MatchingFiles", "ReadVariableFile", "CopyFile", "DeleteFile"),
        *("WholeFileReader", "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2", "TFRecordReader"),
        *("TFRecordReaderV2", "FixedLengthRecordReader", "FixedLengthRecordReaderV2"),
        *("TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2", "FixedLengthRecordDataset", "CSVDataset"),
        *("SaveDataset", "SaveDatasetV2", "LoadDataset", "SnapshotDataset", "SnapshotDatasetV2", "CacheDataset"),
        *(
            "DebugIdentity",
            "DebugIdentityV2",
            "DebugNumericSummary",
            "CreateSummaryFileWriter",
            "CreateSummaryDbWriter",
        ),
        *("RpcClient", "RpcCall", "RpcServer", "DataServiceDataset", "CollectiveGather"),
    }
)


def saved_model_uses(path: Path) -> list[Use]:
    """Operations of a saved_model.pb that touch files or run Python, each once; raises IntegrityError."""
    found: dict[str, Use] = {}
    graphs = 0
    with closing(Walk.of(path)) as walk:
        try:
            for kind, fields in walk.messages(_TABLE, "saved"):
                graphs += kind == "graph"
                for field in fields if kind == "node" else ():
                    name = walk.text(field) if field.number == _OPERATION and field.is_bytes else ""
                    if name in _REFUSED:
                        found.setdefault(name, Use(what=f"tensorflow:{name}", named=True, opcode="operation"))
            if not graphs:
                raise IntegrityError("it has no graph")  # noqa: TRY301 - named below, as all
        except IntegrityError as error:
            raise IntegrityError(f"{path} is no whole SavedModel: {error.message}", "export the model again") from None
    return list(found.values())
