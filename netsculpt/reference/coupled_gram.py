from torch import Tensor


def coupled_gram(cov: Tensor, weights: Tensor, places: int) -> Tensor:
    units = cov.shape[0] // places
    product = cov.double() * weights.double()
    return product.view(units, places, units, places).sum((1, 3)).to(cov.dtype)
