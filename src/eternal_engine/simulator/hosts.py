"""Where live public prices come from: named apart, so that saying it costs no import of what reads them."""

PUBLIC_URL = "https://api.bybit.com"
