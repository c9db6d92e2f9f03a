"""Means and ratios with their 95 % intervals, from sums: Spark adds up, and one row per group comes back."""

from collections.abc import Sequence
from math import sqrt

Z95 = 1.959964
"""Standard deviations of a normal distribution that hold 95 %."""
Estimate = tuple[float, float | None, float | None]
"""A value and both ends of its 95 % interval; the ends are None for fewer than two observations."""


def interval(total: float, squares: float, n: int) -> Estimate:
    """Return mean and both ends of its 95 % interval, normal approximation, from a sum and a sum of squares.

    The ends are None for a single value.
    """
    mean = total / n
    if n < 2:
        return round(mean, 6), None, None
    half = Z95 * sqrt(max(squares - n * mean * mean, 0.0) / (n - 1) / n)
    return round(mean, 6), round(mean - half, 6), round(mean + half, 6)


def ratio_interval(sums: Sequence[float], products: Sequence[Sequence[float]], n: int) -> Estimate | None:
    """Return a ratio of sums, or the difference of two, with its 95 % interval over clusters such as users.

    Impressions of one user are correlated, so users are the sampling unit: the variance is that of the linearised ratio
    over clusters (Taylor series; Cochran, Sampling Techniques, 1977, section 6.4).

    Args:
        sums: of a numerator and its denominator; for a difference, followed by those of the ratio that is subtracted.
        products: sums over clusters of the product of each two of them, as a square matrix.
        n: clusters.

    Returns:
        None where a denominator is 0.
    """
    value, slope = 0.0, []
    for place in range(0, len(sums), 2):
        top, bottom = sums[place : place + 2]
        if bottom == 0:
            return None
        sign = 1.0 if place == 0 else -1.0
        value += sign * top / bottom
        slope += [sign / bottom, -sign * top / bottom**2]
    if n < 2:
        return round(value, 6), None, None
    variance = sum(a * b * products[i][j] for i, a in enumerate(slope) for j, b in enumerate(slope))
    half = Z95 * sqrt(max(variance, 0.0) * n / (n - 1))
    return round(value, 6), round(value - half, 6), round(value + half, 6)
