"""OpenTelemetry: spans and metrics of model calls, counts of prompts; nothing where no provider is set up."""
