"""How a store is spoken of over HTTP: names, JSON forms and framing. No I/O, and nothing of any framework."""
