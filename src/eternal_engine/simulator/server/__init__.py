"""The exchange on the wire: Bybit V5 over REST and WebSocket, on loopback only."""
