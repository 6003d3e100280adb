"""Traces of spans of OTLP, Jaeger, Zipkin and SkyWalking, read as records."""
