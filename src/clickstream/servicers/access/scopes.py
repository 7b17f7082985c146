"""The scope of every method (R22). A method that this table does not name is not served."""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """What a token or a client certificate may do: the names that the token file uses."""

    CLIENT = "client"
    BATCH = "batch"
    TRAINING = "training"
    MODELS = "models"
    ANALYTICS = "analytics"
    TRAINER = "trainer"
    ADMIN = "admin"
    """Holds every scope."""
    OPEN = "(none needed)"
    """Of methods that need no token. No token file can give it."""
    ANY = "(any)"
    """Of methods that any valid token may call. No token file can give it."""


GIVEN = tuple(scope for scope in Scope if scope not in (Scope.OPEN, Scope.ANY))
"""The scopes that a token file can give."""

_PUBLIC = "embedding_studio.clickstream.v1"
_INTERNAL = "embedding_studio.clickstream.internal.v1"


def _methods(service: str, scope: Scope, *names: str) -> dict[str, Scope]:
    return {f"/{service}/{name}": scope for name in names}


SCOPES: dict[str, Scope] = {
    **_methods(
        f"{_PUBLIC}.ClickstreamService",
        Scope.CLIENT,
        *("CreateSession", "GetSession", "PushEvents", "MarkSessionIrrelevant", "RestoreSession", "Ingest"),
    ),
    **_methods(
        f"{_PUBLIC}.BatchService",
        Scope.BATCH,
        *("GetBatchSessions", "StreamBatchSessions", "ReleaseBatch", "GetBatch", "ListBatches"),
    ),
    **_methods(
        f"{_PUBLIC}.ImprovementService",
        Scope.TRAINING,
        *("UseSessionForImprovement", "GetImprovementTask", "ListImprovementTasks"),
        *("CancelImprovementTask", "RetryImprovementTask"),
    ),
    **_methods(
        f"{_PUBLIC}.TrainingService",
        Scope.TRAINING,
        *("StreamTrainingInputs", "StartTraining", "GetTrainingRun", "ListTrainingRuns"),
        *("WatchTrainingRun", "CancelTrainingRun", "GetTrainingCurve"),
    ),
    **_methods(f"{_PUBLIC}.ModelService", Scope.CLIENT, "Embed"),
    **_methods(
        f"{_PUBLIC}.ModelService",
        Scope.MODELS,
        *("GetModelVersion", "ListModelVersions", "PromoteModel", "RollbackModel", "ListPromotions"),
        *("DownloadModel", "StreamModelLineage", "GetSessionLineage"),
    ),
    **_methods(
        f"{_PUBLIC}.AnalyticsService",
        Scope.ANALYTICS,
        *("QueryFigures", "ListTop", "CompareFigures", "GetDataQuality", "GetBatchProgress"),
        *("ListRobotVerdicts", "PreviewRobotVerdicts", "OverruleRobotVerdict", "UndoRobotVerdicts"),
    ),
    **_methods(f"{_INTERNAL}.FineTuningService", Scope.TRAINER, "FineTune"),
    **_methods(f"{_INTERNAL}.ModelHostService", Scope.TRAINER, "ReadModel", "EmbedTexts"),
    **_methods("grpc.health.v1.Health", Scope.OPEN, "Check", "Watch"),
    **_methods("grpc.reflection.v1.ServerReflection", Scope.ANY, "ServerReflectionInfo"),
    **_methods("grpc.reflection.v1alpha.ServerReflection", Scope.ANY, "ServerReflectionInfo"),
}
"""Path of a method, as gRPC names it → its scope."""


def holds(scopes: Iterable[str], needed: Scope) -> bool:
    """Whether a caller with these scopes may call a method that needs `needed`."""
    return needed in (Scope.OPEN, Scope.ANY) or needed in scopes or Scope.ADMIN in scopes
