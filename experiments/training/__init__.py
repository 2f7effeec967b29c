"""What trains: from a recipe and a data set to a run folder that can be stopped and resumed."""
