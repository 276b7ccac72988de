"""A reader study: the model against human readers on the same cases of an independent test set."""
