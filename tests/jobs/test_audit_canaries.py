"""Which runs canaries can be among the clients of."""

import pytest

from fedjax_asr import config
from fedjax_asr.jobs import audit_canaries


def test_where_canaries_cannot_send_as_clients_do_is_refused():
  audit_canaries.check_settings(config.FederatedConfig())
  with pytest.raises(config.ConfigError, match='algorithm=qffl; want one of'):
    audit_canaries.check_settings(
      config.FederatedConfig(algorithm=config.AlgorithmName.QFFL)
    )
  secure = config.SecureAggregationConfig(enabled=True)
  with pytest.raises(config.ConfigError, match='have no masks'):
    audit_canaries.check_settings(
      config.FederatedConfig(secure_aggregation=secure)
    )
