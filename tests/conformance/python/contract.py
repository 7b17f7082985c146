"""Writes the contract with all that it needs as one file descriptor set: `python contract.py PROTOS OUT`.

It runs in the environment of the Python client. Clients that read descriptors at run time need no generated code.
"""

import sys
from importlib.metadata import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_tools import protoc

GOOGLE_RPC = ["google/rpc/status.proto", "google/rpc/error_details.proto"]


def main(protos: Path, out: Path) -> None:
    """Compiles every proto below `protos`, with google.rpc, and adds health and reflection from their packages."""
    ours = [str(path.relative_to(protos)) for path in sorted(protos.rglob("*.proto"))]
    [status] = [file for file in files("googleapis-common-protos") or [] if str(file) == GOOGLE_RPC[0]]
    google = Path(str(status.locate())).parents[2]
    well_known = Path(protoc.__file__).parent / "_proto"
    include = [f"--proto_path={folder}" for folder in (protos, google, well_known)]
    # The stubs of the Python client: its own, by its own protoc.
    stubs = [f"--python_out={out.parent}", f"--grpc_python_out={out.parent}"]
    if protoc.main(["protoc", *include, *stubs, *ours]):
        sys.exit("protoc failed")
    if protoc.main(["protoc", *include, "--include_imports", f"--descriptor_set_out={out}", *ours, *GOOGLE_RPC]):
        sys.exit("protoc failed")
    contract = FileDescriptorSet.FromString(out.read_bytes())
    for module in (health_pb2, reflection_pb2):
        added = contract.file.add()
        module.DESCRIPTOR.CopyToProto(added)
        for message in added.message_type:  # the copy has no JSON names, and @bufbuild/protobuf wants them
            fields = module.DESCRIPTOR.message_types_by_name[message.name].fields_by_name
            for field in message.field:
                field.json_name = fields[field.name].json_name
    out.write_bytes(contract.SerializeToString())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
