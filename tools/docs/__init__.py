"""The documentation: running its pages, generating its reference pages, and the configuration of its site."""
