"""Classes of messages from the description of a .proto file."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass


def messages(description: bytes) -> dict[str, Any]:
    """Make the classes of a FileDescriptorSet with one file, by name.

    They are in a pool of their own, so that other modules may describe messages of the same names.
    """
    (file,) = FileDescriptorSet.FromString(description).file
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindFileByName(file.name).message_types_by_name
    return {name: GetMessageClass(descriptor) for name, descriptor in found.items()}
