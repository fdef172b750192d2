"""A TFX pipeline of five tiny nodes: importer, resolver, a gate, and two that count. Its behaviour is set per run."""
