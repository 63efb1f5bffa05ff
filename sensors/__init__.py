"""When things change by themselves: each sensor reads an asset's verdict and requests a run."""
