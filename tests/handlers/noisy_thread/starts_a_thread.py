"""To be preloaded: no process may fork once this has been imported."""

import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
