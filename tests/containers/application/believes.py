# What the application's own loader makes of the config.toml in its working directory and of its environment.
import io
import json
import logging

from openhands.core.config import utils
from openhands.core.logger import openhands_logger

said = io.StringIO()
handler = logging.StreamHandler(said)
handler.setLevel(logging.WARNING)
openhands_logger.addHandler(handler)
config = utils.load_openhands_config()


def plain(value):
    if hasattr(value, 'get_secret_value'):
        return '(redacted)'
    if hasattr(value, 'model_dump'):
        return plain(dict(value))
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


tables = {name: plain(getattr(config, name)) for name in ('sandbox', 'security', 'kubernetes', 'mcp')}
apart = set(tables) | {'llms', 'agents', 'extended', 'cli'}
tables['core'] = {name: plain(getattr(config, name)) for name in type(config).model_fields if name not in apart}
tables['llm'] = plain(config.get_llm_config())
for name, llm in config.llms.items():
    if name != 'llm':
        tables['llm'][name] = plain(llm)
agent = plain(config.get_agent_config())
tables['agent'] = agent
tables['condenser'] = agent.get('condenser')
tables['model_routing'] = agent.get('model_routing')
tables['extended'] = config.extended.model_dump()
print('BELIEVED ' + json.dumps({'tables': tables, 'warnings': said.getvalue()}))
