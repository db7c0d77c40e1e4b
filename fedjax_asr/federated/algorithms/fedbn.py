"""FedBN (Li et al. 2021, "FedBN: Federated Learning on Non-IID Features via
Local Batch Normalization", Algorithm 1)."""

from fedjax_asr.federated import algorithm, personal_part


def fedbn(
  base: algorithm.Algorithm, is_norm: personal_part.IsOwn
) -> algorithm.Algorithm:
  """FedAvg, but for norms: their parameters and statistics stay with a client.

  A client goes on from its own where it left them, and from the server's in the
  round in which it is first drawn. The paper leaves open what a client that
  never took part is to use: here the server follows the mean of the clients'
  norms too (with its plain step at rate 1 it holds just that), for the
  evaluation of speakers that it never heard.

  Args:
    base: FedAvg.
    is_norm: of a parameter's path.
  """
  return personal_part.keeping(base, is_norm, with_statistics=True)
