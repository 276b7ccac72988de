"""What the servers tell of themselves: logs, metrics, traces and drift; never whose study it was."""
