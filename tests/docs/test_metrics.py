"""docs/metrics.md: Prometheus scrapes what it says, and the table has every figure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.pages import ROOT, PageRun
from tests.support.patience import PATIENCE

PAGE = ROOT / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(coatcheck_\w+)` \| (\w+) \|", re.M)


def scraped(folder: Path, job: dict[str, Any]) -> dict[str, str]:
    """What a job of the configuration finds: names with their types. Prometheus's defaults are as its manual says."""
    headers = {}
    if "authorization" in job:
        said = job["authorization"]
        headers["Authorization"] = f"{said['type']} {(folder / said['credentials_file']).read_text().strip()}"
    [[target]] = [group["targets"] for group in job["static_configs"]]
    url = f"{job.get('scheme', 'http')}://{target}{job.get('metrics_path', '/metrics')}"
    response = httpx.get(url, headers=headers, timeout=PATIENCE)
    assert response.status_code == 200, response.text
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in text_string_to_metric_families(response.text)
    }


def test_prometheus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both jobs of the page's configuration find every figure of the page's table and no other, and the alerts are
    about these."""
    documented = dict(ROW.findall(PAGE.read_text("utf-8")))
    monkeypatch.chdir(tmp_path)
    with PageRun(tmp_path) as run:
        run.run(PAGE)
        jobs = yaml.safe_load((tmp_path / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
        assert len(jobs) == 2
        for job in jobs:
            assert scraped(tmp_path, job) == documented
    alerts = yaml.safe_load((tmp_path / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    for alert in alerts:
        assert set(re.findall(r"coatcheck_\w+", alert["expr"])) <= documented.keys()
