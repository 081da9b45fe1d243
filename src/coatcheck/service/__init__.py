"""The service: one ASGI application with the HTTP API and the pages, to mount or to run alone."""
