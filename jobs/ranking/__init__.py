"""Ranks candidates into feeds: merge, score, rules, diversification, arms; and evaluates them."""
