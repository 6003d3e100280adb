"""Traces of spans: OTLP, Jaeger, Zipkin and SkyWalking, read as records of client calls."""
