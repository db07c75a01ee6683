"""Download market data: venue (CCXT), pages (what was fetched so far), intervals, sentiment, run (the whole)."""
