"""What makes a reconstruction certain, in words, or that it is a guess."""

from typing import Any

# By method, what its certificate rests on most, in the order of telling.
_EVIDENCE = {
  'span': (
    ('rank', '{:.0f} windows span the update'),
    ('eigenvalue_gap', 'the next best speech fits {:.0e} times worse'),
    ('unexplained', '{:.0e} of the update is unexplained'),
    ('inactive_energy', '{:.0e} of it at units that are not active'),
  ),
  'seed_and_grow': (
    ('rank', '{:.0f} windows span the update'),
    ('worst_residual', 'the worst window is {:.0e} outside of the span'),
    ('unexplained', '{:.0e} of the update is unexplained'),
  ),
  'demixing': (
    ('residual', 'the frames are met within {:.0e}'),
    ('convolution_cosine', "cosine {:.6f} with the convolutions' updates"),
    ('order_margin', 'the next best order of frames is {:.0e} times worse'),
  ),
  'span_descent': (('residual', '{:.0e} of the frames is outside the span'),),
  'gradient_matching': (
    ('relative_squared_distance', '{:.0e} of the update is unexplained'),
  ),
  'hessian_free': (
    ('relative_squared_distance', '{:.0e} of the update is unexplained'),
  ),
}


def said(record: dict[str, Any]) -> str:
  """A sentence on the certificate of a record of `attack.json`."""
  certificate = record.get('certificate') or {}
  evidence = '; '.join(
    form.format(certificate[name])
    for name, form in _EVIDENCE.get(record['method'], ())
    if certificate.get(name) is not None
  )
  if not record['is_certified']:
    start = 'A guess that nothing certifies'
    return f'{start}: {evidence}.' if evidence else f'{start}.'
  start = 'Certified without the truth'
  if not record.get('is_whole', True):
    start += ', in part'
  if certificate.get('scale_is_free'):
    start += ', but for the scale'
  return f'{start}: {evidence}.' if evidence else f'{start}.'
