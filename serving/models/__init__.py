"""What a servable model is: a bundle, and the predictor that reads it."""
