"""How good a model is: metrics, intervals, curves, plots, and how two runs compare. Pure."""
