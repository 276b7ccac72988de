"""From new data to a challenger or a reasoned refusal."""
