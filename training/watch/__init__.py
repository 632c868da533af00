"""Published forecasts beside what came."""
