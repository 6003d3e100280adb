"""Traces of spans: OTLP, Jaeger, Zipkin and SkyWalking, and the calls that their clients' spans are."""
