"""The report in a real browser, at three widths."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.report_log import clients, report_server

from clickstream.report.data import read_report
from clickstream.report.page import page

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

WIDTHS = (360, 800, 1400)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    with report_server() as server:
        now = server._clock()  # type: ignore[attr-defined]
        data = read_report(*clients(server), now - timedelta(days=11), now, "", ("client",), now)
    path.write_text(page(data), "utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_fits_and_reports_no_error(browser: "WebDriver", report: Path, width: int, scheme: str) -> None:
    """No error, no scrolling sideways, every plot visible with its data, and text that stands out from the page."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)  # type: ignore[attr-defined]
    browser.execute_cdp_cmd(  # type: ignore[attr-defined]
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.get_log("browser")  # type: ignore[attr-defined]  # takes what the pages of other tests left
    browser.get(report.as_uri())
    assert browser.get_log("browser") == []  # type: ignore[attr-defined]
    found = browser.execute_script(MEASURE)
    assert found["inner"] == width
    assert found["scroll"] <= width
    assert found["beyond"] == []
    assert found["plots"] == 4
    assert found["hidden"] == 0
    assert found["tables"] == 4
    assert found["contrast"] > 7


MEASURE = """
const width = document.documentElement.clientWidth;
const beyond = [...document.querySelectorAll("body *")].filter(
  (each) => !each.closest(".scroll") && !each.closest("svg") && each.getBoundingClientRect().right > width + 1);
document.querySelectorAll("details").forEach((each) => { each.open = true; });
const plots = [...document.querySelectorAll("figure > svg")];
const light = (name) => {
  const parts = getComputedStyle(document.body)[name].match(/[0-9.]+/g).slice(0, 3).map((each) => each / 255);
  const linear = parts.map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const [dim, bright] = [light("color"), light("backgroundColor")].sort((a, b) => a - b);
return {
  inner: window.innerWidth,
  scroll: document.documentElement.scrollWidth,
  beyond: beyond.map((each) => each.outerHTML.slice(0, 80)),
  plots: plots.length,
  hidden: plots.filter((each) => each.getBoundingClientRect().height < 60).length,
  tables: document.querySelectorAll("figure details table").length,
  contrast: (bright + 0.05) / (dim + 0.05),
};
"""
