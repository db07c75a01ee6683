"""Fetching the fear-and-greed index."""

from __future__ import annotations

import pytest

from eternal_engine.market_data.download.sentiment import fetch_sentiment
from eternal_engine.market_data.download.venue import Patience, Unreachable
from eternal_engine.model.errors import DataError

QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.02)


def test_values_are_put_on_their_day_oldest_first(exchange):
    series = fetch_sentiment(api_url=exchange.url, patience=QUICK)
    assert series.values["value"].tolist() == [14, 13, 12, 11, 10]
    assert (series.stamp_ms % 86_400_000 == 0).all()


@pytest.mark.parametrize("fault", ["429", "500", "html", "cut", "hang up"])
def test_a_passing_failure_is_tried_again(exchange, fault):
    exchange.faults = [fault, fault]
    assert len(fetch_sentiment(api_url=exchange.url, patience=QUICK)) == 5


@pytest.mark.parametrize(("fault", "requests"), [("503", 3), ("404", 1)])
def test_what_does_not_pass_is_said(exchange, fault, requests):
    exchange.always = fault
    with pytest.raises(Unreachable, match=fault) as caught:
        fetch_sentiment(api_url=exchange.url, patience=QUICK)
    assert caught.value.where.endswith("/fng/")
    assert len(exchange.requests) == requests


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": [{"value": "x", "timestamp": "1"}]}, {"data": []}, []])
def test_an_answer_of_another_form_is_refused(exchange, monkeypatch, body):
    monkeypatch.setattr(exchange, "answer", lambda path, query: body)
    with pytest.raises(DataError, match="sentiment answer"):
        fetch_sentiment(api_url=exchange.url, patience=QUICK)


def test_a_value_outside_the_scale_is_refused(exchange, monkeypatch):
    body = {"data": [{"value": "101", "timestamp": "1577836800"}]}
    monkeypatch.setattr(exchange, "answer", lambda path, query: body)
    with pytest.raises(DataError, match=r"not within 0\.\.100"):
        fetch_sentiment(api_url=exchange.url, patience=QUICK)
