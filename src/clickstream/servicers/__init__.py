"""The gRPC boundary: sole importer of grpc and of the generated code, beside the clients."""
