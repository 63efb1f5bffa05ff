"""When things change by themselves: sensors read an asset's verdict and request a run."""
