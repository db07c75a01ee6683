"""The Eternal Engine: four strategy engines, one risk manager, one backtest, one daemon."""
