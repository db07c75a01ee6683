"""Put a daemon together for a mode: the market, the exchange, the keys, the arming; only this layer knows them all."""
