"""No usage data leaves a hospital: libraries that send it are told not to, before any of them is imported.

| library | sends by default | switched off by |
|---|---|---|
| OpenVINO | an event to Google Analytics on each import | hiding `openvino_telemetry`; it has a stub |
| MLflow 3 | events, and a request for what to send | `MLFLOW_DISABLE_TELEMETRY`, `DO_NOT_TRACK` |
| Great Expectations 1.x | events; 1.24 has removed them | `GX_ANALYTICS_ENABLED` |
| DVC | a report after each command | `DVC_NO_ANALYTICS` |
| SeaweedFS (local stack) | cluster statistics | `-master.telemetry=false`, see `infra/local` |

`tests/test_connections.py` watches that nothing is asked for.
"""

import os
import sys

SWITCHES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "true",
}
"""Environment of this process and of all that it starts."""

_HIDDEN = "openvino_telemetry"
"""Has no switch but a file in the user's home, which is not ours to write."""


def switch_off_telemetry() -> None:
    """Set every switch, whatever the environment said before."""
    os.environ.update(SWITCHES)
    # None makes an import fail, as the language reference says of sys.modules.
    sys.modules[_HIDDEN] = None  # type: ignore[assignment]
