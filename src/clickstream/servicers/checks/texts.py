"""Checks of texts to embed."""

from collections.abc import Sequence

from embedding_studio.clickstream.v1 import model_service_pb2

from clickstream.domain import limits
from clickstream.domain.errors import FieldViolation
from clickstream.servicers.checks import fields

# TextKind → what the embedder calls it.
KINDS = {model_service_pb2.TEXT_KIND_QUERY: "query", model_service_pb2.TEXT_KIND_ITEM: "item"}


def check_texts(texts: Sequence[str], kind: int) -> None:
    """Checks the texts of one Embed call and their TextKind. Raises InvalidArgument with the violations."""
    violations = fields.Violations()
    if not 1 <= len(texts) <= limits.EMBED_TEXTS:
        description = f"has {len(texts)} texts; 1 to {limits.EMBED_TEXTS} are allowed"
        violations.append(FieldViolation("texts", description, fields.LIMIT))
    for index, text in enumerate(texts[: limits.EMBED_TEXTS]):
        if len(text) > limits.EMBED_TEXT_CHARACTERS:
            description = f"has {len(text)} characters; {limits.EMBED_TEXT_CHARACTERS} are allowed"
            violations.append(FieldViolation(f"texts[{index}]", description, fields.LIMIT))
    if kind not in KINDS:
        violations.append(FieldViolation("kind", "must be TEXT_KIND_QUERY or TEXT_KIND_ITEM"))
    fields.require(violations)
