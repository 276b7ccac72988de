"""No usage data leaves a hospital: libraries that send it by default are told not to, before they are imported.

| library | sends by default | switched off by |
|---|---|---|
| MLflow 3 | events and a configuration request, on import and use | `MLFLOW_DISABLE_TELEMETRY`, `DO_NOT_TRACK` |
| Great Expectations 1.x | events to PostHog | `GX_ANALYTICS_ENABLED` |
| DVC | a report after each command | `DVC_NO_ANALYTICS` |
"""

import os

SWITCHES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "true",
}
"""Environment of this process and of all that it starts."""


def switch_off_telemetry() -> None:
    """Set every switch, whatever the environment said before."""
    os.environ.update(SWITCHES)
