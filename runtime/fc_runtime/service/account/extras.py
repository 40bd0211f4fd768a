"""What is around functions, in one class."""

from fc_runtime.service.account.configs import Configs
from fc_runtime.service.account.domains import Domains
from fc_runtime.service.account.layers import Layers
from fc_runtime.service.account.restrictions import Restrictions
from fc_runtime.service.account.tags import Tags
from fc_runtime.service.account.triggers import Triggers


class Extras(Layers, Triggers, Configs, Restrictions, Domains, Tags):
    """Layers, triggers, configs, what is switched off, custom domains, tags."""
