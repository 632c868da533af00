"""The public HTTP API, a folder a subject: routes, request and response schemas, renderers."""
