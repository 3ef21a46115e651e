"""How a definition is evaluated: one module per way, each tested against `plain`."""
