"""How a call is planned and then run, wherever its arrays lie."""
