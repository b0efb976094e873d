"""The application for a WSGI server, from the environment: `granian --interface wsgi serving.wsgi:app`."""

from __future__ import annotations

import logging
import os

from serving import ServingSettings, create_app

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
for chatty in ("httpx", "urllib3", "httpcore"):
    logging.getLogger(chatty).setLevel(logging.WARNING)

app = create_app(ServingSettings.from_env(os.environ))
