"""What the making of frames depends on beside the documents."""

import hashlib
import json
from dataclasses import dataclass

from clickstream.analytics import columns
from clickstream.conversion.importance import ImportancePolicy
from clickstream.domain.analytics import Segments


@dataclass(frozen=True, slots=True)
class FrameRules:
    """What the making of frames depends on beside the documents."""

    policy: ImportancePolicy
    segments: Segments
    item_template: str = ""

    def digest(self) -> str:
        """Names these rules: rows that were made by others are made again."""
        policy = self.policy
        content = [
            *(columns.FRAMES_VERSION, policy.version, policy.default_grade),
            *(dict(policy.grades), dict(policy.aliases), self.segments.context, self.segments.meta),
            self.item_template,
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
