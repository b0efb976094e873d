"""The application for any WSGI server, from the environment: `granian --interface wsgi serving.wsgi:app`.

The stack uses `serving.server`, which also bounds how long a body may take.
"""

from __future__ import annotations

import os

from serving.app import app_from_env

app = app_from_env(os.environ)
