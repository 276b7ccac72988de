"""The transformer: takes studies in every protocol, denoises, asks the predictor for the classes, answers."""
