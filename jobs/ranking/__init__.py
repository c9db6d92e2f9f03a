"""From candidates to feeds: score, rules, diversity, arms; evaluation."""
