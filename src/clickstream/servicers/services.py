"""The services of the contract, and how generated code registers each."""

from collections.abc import Callable
from typing import Any

from embedding_studio.clickstream.internal.v1 import (
    fine_tuning_service_pb2,
    fine_tuning_service_pb2_grpc,
    model_host_service_pb2,
    model_host_service_pb2_grpc,
)
from embedding_studio.clickstream.v1 import (
    analytics_service_pb2,
    analytics_service_pb2_grpc,
    batch_service_pb2,
    batch_service_pb2_grpc,
    clickstream_service_pb2,
    clickstream_service_pb2_grpc,
    improvement_service_pb2,
    improvement_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    training_service_pb2,
    training_service_pb2_grpc,
)

# Every service: the generated servicer, the module of its file, its name, and how generated code registers it.
SERVICES: tuple[tuple[type[Any], Any, str, Callable[[Any, Any], None]], ...] = (
    (
        clickstream_service_pb2_grpc.ClickstreamServiceServicer,
        clickstream_service_pb2,
        "ClickstreamService",
        clickstream_service_pb2_grpc.add_ClickstreamServiceServicer_to_server,
    ),
    (
        batch_service_pb2_grpc.BatchServiceServicer,
        batch_service_pb2,
        "BatchService",
        batch_service_pb2_grpc.add_BatchServiceServicer_to_server,
    ),
    (
        improvement_service_pb2_grpc.ImprovementServiceServicer,
        improvement_service_pb2,
        "ImprovementService",
        improvement_service_pb2_grpc.add_ImprovementServiceServicer_to_server,
    ),
    (
        training_service_pb2_grpc.TrainingServiceServicer,
        training_service_pb2,
        "TrainingService",
        training_service_pb2_grpc.add_TrainingServiceServicer_to_server,
    ),
    (
        model_service_pb2_grpc.ModelServiceServicer,
        model_service_pb2,
        "ModelService",
        model_service_pb2_grpc.add_ModelServiceServicer_to_server,
    ),
    (
        analytics_service_pb2_grpc.AnalyticsServiceServicer,
        analytics_service_pb2,
        "AnalyticsService",
        analytics_service_pb2_grpc.add_AnalyticsServiceServicer_to_server,
    ),
    (
        fine_tuning_service_pb2_grpc.FineTuningServiceServicer,
        fine_tuning_service_pb2,
        "FineTuningService",
        fine_tuning_service_pb2_grpc.add_FineTuningServiceServicer_to_server,
    ),
    (
        model_host_service_pb2_grpc.ModelHostServiceServicer,
        model_host_service_pb2,
        "ModelHostService",
        model_host_service_pb2_grpc.add_ModelHostServiceServicer_to_server,
    ),
)
