"""What the port of metrics answers."""

import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from support.servers import ServeProcess

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def get(server: ServeProcess, path: str) -> tuple[int, str]:
    """Status and body of a path of the metrics' port."""
    port = server.log.split(b"metrics on ")[1].split(b"/metrics")[0].decode()
    try:
        with urllib.request.urlopen(f"{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def samples(server: ServeProcess) -> Samples:
    """All samples of a scrape, by name and labels."""
    found: Samples = {}
    for family in text_string_to_metric_families(get(server, "/metrics")[1]):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of the samples that have these labels."""
    return sum(value for (each, of), value in found.items() if each == name and labels.items() <= dict(of).items())
