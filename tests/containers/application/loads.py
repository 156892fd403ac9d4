# What the application's own loader does with each config file of a folder: a line of JSON for each.
import glob
import io
import json
import logging
import os

from openhands.core.config import utils
from openhands.core.logger import openhands_logger

for path in sorted(glob.glob('/configs/*.toml')):
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.WARNING)
    openhands_logger.addHandler(handler)
    try:
        utils.load_openhands_config(config_file=path)
        crash = None
    except Exception as error:
        crash = repr(error)
    openhands_logger.removeHandler(handler)
    print('LOADED ' + json.dumps({'file': os.path.basename(path), 'crash': crash, 'warnings': said.getvalue()}))
