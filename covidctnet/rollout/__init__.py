"""A roll-out as pure values: policy, what was observed, verdict, and the state that follows."""
