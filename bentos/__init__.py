"""How answers are served: the classifier service. Never imports Dagster or an asset group."""
