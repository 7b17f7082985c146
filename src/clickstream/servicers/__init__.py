"""The gRPC services: one file per service, the server that they run in, and the checks of requests."""
