"""The forward model: command to landmarks, learned from a face's own babbling.

The displacement is a sum of principal modes. Each mode's amount is a polynomial in the pulls, with the
products of two pulls and those of one pull and the square of another, fitted in closed form. Its derivatives
are exact. `python -m benchmarks.forward` compares it with other models, and measures how long both take.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from eva_sim.contract import Floats

#: Principal modes of the babbled displacements; what these leave out is 0.02 mm.
MODES = 60
#: Ridge on the weights of pulls, of products and of third powers: keeps them small where samples are few.
#: Chosen on held-out faces with 127 to 8,500 samples.
_RIDGE = (0.1, 0.3, 3.0)


class ForwardModel:
    """Maps pulls x, the commands' distance from rest, (M,), to displacements, (D,): (x L + x Q x + x² C x) V.

    Attributes:
        linear: L, (M, K), for K modes.
        products: Q above C, (2 M, M, K); Q is symmetric in its first two axes.
        modes: V, (K, D).
    """

    def __init__(self, linear: Floats, products: Floats, modes: Floats) -> None:
        self.linear, self.products, self.modes = linear, products, modes

    @classmethod
    def fit(cls, pulls: Floats, displacements: Floats) -> Self:
        """Fits to samples: pulls (S, M) and their displacements (S, D)."""
        x, (samples, count) = pulls.astype(float), pulls.shape
        y = displacements.astype(float)
        modes = np.ascontiguousarray(np.linalg.eigh(y.T @ y)[1].T[::-1][:MODES])
        i, j = np.triu_indices(count)
        cubic = (x[:, :, None] ** 2 * x[:, None]).reshape(samples, -1)
        features = np.concatenate([x, x[:, i] * x[:, j], cubic], axis=1)
        normal = features.T @ features + np.diag(np.repeat(_RIDGE, (count, len(i), count**2)))
        weights = np.linalg.solve(normal, features.T @ (y @ modes.T))
        linear, pairs, cubes = np.split(weights, [count, count + len(i)])
        products = np.zeros((2 * count, count, len(modes)))
        products[i, j] += pairs / 2
        products[j, i] += pairs / 2
        products[count:] = cubes.reshape(count, count, -1)
        return cls(linear, products, modes)

    def __call__(self, pulls: Floats) -> Floats:
        """Returns the displacement, (D,), of pulls (M,)."""
        displacement: Floats = pulls @ (self.linear + self._by_powers(pulls)) @ self.modes
        return displacement

    def jacobian(self, pulls: Floats) -> Floats:
        """Returns the derivative of the displacement by each pull, (D, M)."""
        by_pull, by_square = (pulls @ self.products).reshape(2, len(pulls), -1)
        amounts = self.linear + self._by_powers(pulls) + by_pull + 2 * pulls[:, None] * by_square
        jacobian: Floats = (amounts @ self.modes).T
        return jacobian

    def weighted_hessian(self, pulls: Floats, weights: Floats) -> Floats:
        """Returns second derivatives by two pulls, (M, M), of the displacement, summed by weights (D,)."""
        pairs, cubes = (self.products @ (self.modes @ weights)).reshape(2, len(pulls), -1)
        mixed = pairs + 2 * pulls[:, None] * cubes
        curvature: Floats = mixed + mixed.T + np.diag(2 * cubes @ pulls)
        return curvature

    def project(self, metric: Floats) -> ForwardModel:
        """Returns this model followed by a linear map, (K, D): pulls to K numbers."""
        return ForwardModel(self.linear, self.products, self.modes @ metric.T)

    def _by_powers(self, pulls: Floats) -> Floats:
        """Returns Q and C contracted with the pulls and their squares, (M, K)."""
        powers = np.concatenate([pulls, pulls**2])
        contracted: Floats = powers @ self.products.reshape(len(powers), -1)
        return contracted.reshape(self.linear.shape)
