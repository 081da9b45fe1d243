"""A client in another language, with what that language brings along."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.service import PASSWORD, PATIENCE, add_user, running_service


def test_a_node_client_logs_in_verifies_refreshes_and_logs_out(tmp_path: Path) -> None:
    """The access token is a plain ES256 JWT that Node verifies by the published keys."""
    node = shutil.which("node") or shutil.which("nodejs")
    assert node, "node is needed: scripts/setup dev installs it"
    with running_service(tmp_path) as service:
        add_user(tmp_path, "ann@example.com")
        script = Path(__file__).with_name("node_client.mjs")
        done = subprocess.run(
            [node, str(script), service.base_url, "ann@example.com", PASSWORD],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
