"""From the provider's pages to openapi.yaml: what `sync_spec` is made of."""
